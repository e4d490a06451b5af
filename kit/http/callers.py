"""The caller of a request: tokens and credentials in headers, and the access reason."""

import base64
import binascii
from dataclasses import replace
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from kit.core.errors import InvalidFields
from kit.security import security_events
from kit.security.tokens import Caller, TokenVerifier, Unauthorized

MAX_REASON_LENGTH = 200


def bearer_token(request: Request) -> str:
    """The token of the Authorization header. Raises `Unauthorized`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("no_token")
    return token.strip()


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """User and password of HTTP basic authentication (RFC 7617); None without them."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if scheme.lower() == "basic" and colon else None


async def _caller(request: Request) -> Caller:
    verifier: TokenVerifier = request.app.state.verifier
    caller = await verifier.verify(bearer_token(request))
    if caller.kind != "practitioner":
        caller = replace(caller, reason=read_reason(request.headers.get("x-access-reason")))
    security_events.identified(caller.label, caller.session)
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]


async def _fresh_caller(request: Request, caller: CallerDep) -> Caller:
    verifier: TokenVerifier = request.app.state.verifier
    verifier.require_fresh(caller)
    return caller


FreshCallerDep = Annotated[Caller, Depends(_fresh_caller)]
"""For actions that can't be undone: requires a recent authentication (403 `fresh_proof_required`)."""
ACCESS_REASON: dict[str, object] = {  # not a parameter of routes: it would cost practitioners 0.2 ms a request
    "parameters": [{
        "name": "X-Access-Reason", "in": "header", "required": False, "schema": {"type": "string"},
        "description": "Why somebody reads a file that is not their own: percent-encoded UTF-8, required of staff.",
    }]
}  # fmt: skip
"""For the `openapi_extra` of routes that read a person's file; the reason is the caller's (`Caller.reason`)."""


def read_reason(header: str | None) -> str:
    """The sentence in `X-Access-Reason`: percent-encoded UTF-8, because headers hold no Chinese."""
    reason = unquote(header or "", errors="replace").strip()
    if len(reason) > MAX_REASON_LENGTH or not reason.isprintable():
        raise InvalidFields.one(
            "X-Access-Reason", "reason_invalid", f"查看原因请用一句话说明，不超过{MAX_REASON_LENGTH}个字"
        )
    return reason


def client_address(request: Request) -> str:
    """The address the gateway saw (uvicorn reads X-Forwarded-For from trusted proxies only)."""
    return request.client.host if request.client else "unknown"
