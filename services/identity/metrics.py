"""What identity counts."""

from prometheus_client import Counter

logins = Counter("logins_total", "Codes: asked, right, wrong, expired, limited", ["outcome"])
staff_logins = Counter("staff_logins_total", "Log-ins of staff: right, wrong, limited", ["outcome"])
login_alarms = Counter("login_alarms_total", "Budgets of the whole city that were spent", ["budget"])
captchas = Counter(
    "captchas_total", "Captchas: made, heard as audio, right, wrong, expired or spent before", ["outcome"]
)
