"""Metrics of identity."""

from prometheus_client import Counter, Gauge

logins = Counter("logins_total", "Log-ins by SMS code: asked, right, wrong, expired, limited", ["outcome"])
staff_logins = Counter("staff_logins_total", "Log-ins of staff: right, wrong, limited", ["outcome"])
login_limits_reached = Counter(
    "login_limits_reached_total", "Limits of the whole city reached: codes_in_city, wrong_codes_in_city", ["limit"]
)
captchas = Counter(
    "captchas_total",
    "Captchas: made, audio (heard), and their answers: right, wrong, expired (or already used)",
    ["outcome"],
)
audit_entries = Counter("audit_entries_total", "Entries appended to the audit trail")
audit_head_timestamp = Gauge("audit_head_timestamp_seconds", "When the newest head of the audit trail was signed")
audit_verification_failed = Gauge("audit_verification_failed", "1 after the audit trail failed its verification")
