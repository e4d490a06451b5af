"""Metrics of identity."""

from prometheus_client import Counter

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
