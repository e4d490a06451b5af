"""Access tokens for any caller, signed with the stack's key as identity does."""

import json
from typing import Any

from joserfc.jwk import OKPKey

from kit.core.clock import SystemClock
from kit.security.tokens import Caller, TokenIssuer
from kit.settings import TokenSettings
from tests.support.stack import RunningStack

LIFETIME_SECONDS = 3_600


def token_settings(stack: RunningStack) -> TokenSettings:
    """The settings by which the stack's services check tokens."""
    environment = stack.environment("records-api")
    names = ("issuer", "audience", "jwks_url")
    return TokenSettings(**{name: environment[f"TOKENS__{name.upper()}"] for name in names})


def stack_issuer(stack: RunningStack, lifetime_seconds: int = LIFETIME_SECONDS) -> TokenIssuer:
    """Signs tokens that every service of the stack accepts."""
    keys: list[dict[str, Any]] = json.loads(stack.environment("identity-api")["SIGNING__KEYS"])
    own = [OKPKey.import_key(key) for key in keys]
    return TokenIssuer(own, token_settings(stack), SystemClock(), lifetime_seconds)


def practitioner_token(issuer: TokenIssuer, practitioner_id: str) -> str:
    """The token of a practitioner who has just logged in."""
    now = int(SystemClock().now().timestamp())
    return issuer.issue(Caller(practitioner_id, "practitioner", session="test", auth_time=now))
