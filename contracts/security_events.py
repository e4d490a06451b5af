"""The names of security events (kit.security.security_events): what was done, or attempted."""

from typing import Literal

Event = Literal[
    "access_denied", "login_code", "login", "proof_code", "fresh_proof", "session_refresh", "session_end",
    "staff_login", "account_change", "approval_request", "approval", "client_token", "client_change", "people_lookup",
    "phone_code",
    "certificate_issue", "certificate_rebinding", "certificate_revocation", "erasure_request",
    "erasure_approval", "erasure_stop", "erasure_due", "erasure", "spray", "code_guessing",
]  # fmt: skip
"""Described in docs/security/events.md."""
