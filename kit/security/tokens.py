"""Access tokens: EdDSA-signed JWTs of a few minutes (RFC 9068), checked against the issuer's published keys."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import httpx2
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet, KeySetSerialization, OKPKey

from kit.core.clock import Clock
from kit.core.documents import field_of
from kit.core.errors import AppError, NotYours, Unavailable, network_error
from kit.core.ids import new_id
from kit.observability import log
from kit.runtime import tls
from kit.settings import TokenSettings

ALGORITHMS = ["Ed25519"]
LEEWAY_SECONDS = 5
REMEMBERED_TOKENS = 10_000
TOKEN_BYTES = 4_096

Kind = Literal["practitioner", "staff", "client"]
logger = log.get(__name__)
ADMIN = "admin"
"""The role that has all others."""


@dataclass(frozen=True)
class Ended:
    """Why a session ended: a name for programs, a sentence for people."""

    reason: str
    sentence: str


@dataclass(frozen=True)
class Caller:
    """Who calls: a practitioner, a member of staff or an API client; `reason`: the access reason, if given."""

    subject: str
    kind: Kind
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    session: str | None = None
    reason: str = ""
    auth_time: int | None = None
    """When a practitioner last proved who they are by a code, in Unix seconds (OpenID Connect Core §2)."""

    @property
    def label(self) -> str:
        """For histories and logs: `practitioner:<id>`."""
        return f"{self.kind}:{self.subject}"

    def own(self, practitioner_id: str) -> str:
        """The caller's id, for `me` or the id itself; any other id is not found (404, not 403)."""
        if self.kind == "practitioner" and practitioner_id in ("me", self.subject):
            return self.subject
        raise NotYours

    def may(self, *, role: str = "", scope: str = "") -> bool:
        """Whether the caller has the role (staff) or the scope (client)."""
        return scope in self.scopes or (role != "" and not self.roles.isdisjoint({role, ADMIN}))

    def require(self, *, role: str = "", scope: str = "") -> None:
        """Raises 403 `forbidden` when the caller has neither."""
        if not self.may(role=role, scope=scope):
            raise AppError(403, "forbidden", "您没有权限进行此操作")

    def require_fresh(self, seconds: int, now: datetime) -> None:
        """Raises 403 `fresh_proof_required` when a practitioner's last code is older; other callers have no codes."""
        if self.kind != "practitioner":
            return
        if self.auth_time is None or now.timestamp() - self.auth_time > seconds:
            raise FreshProofRequired(seconds)


class FreshProofRequired(AppError):
    """The caller has to authenticate again; an authentication is recent for `max_age` seconds."""

    def __init__(self, max_age: int) -> None:
        super().__init__(403, "fresh_proof_required", "为保护您的信息，请先输入动态密码", max_age=max_age)


class Unauthorized(AppError):
    """No token, or an invalid one; `cause` is the reason for the security event, `ended` why its session ended.

    `subject`: the caller of a token that this system issued.
    """

    cause = ""

    def __init__(self, cause: str, ended: Ended | None = None, subject: str = "") -> None:
        self.cause, self.subject = cause, subject
        extras = {"reason": ended.reason} if ended else {}
        detail = ended.sentence if ended else "请先登录"
        super().__init__(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"}, **extras)


class TokenIssuer:
    """Signs access tokens with the first key; all are published, so keys rotate without logging anyone out."""

    def __init__(self, keys: list[OKPKey], settings: TokenSettings, clock: Clock, lifetime_seconds: int) -> None:
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self.lifetime_seconds = lifetime_seconds

    def issue(self, caller: Caller) -> str:
        """A token that identifies the caller, for `lifetime_seconds`."""
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": self._settings.issuer, "aud": self._settings.audience, "sub": caller.subject, "jti": new_id(),
            "iat": now, "exp": now + self.lifetime_seconds, "kind": caller.kind, "sid": caller.session,
            "roles": sorted(caller.roles), "scope": " ".join(sorted(caller.scopes)),
        }  # fmt: skip
        if caller.auth_time is not None:
            claims["auth_time"] = caller.auth_time
        header = {"alg": ALGORITHMS[0], "kid": self._keys[0].kid, "typ": "at+jwt"}
        return jwt.encode(header, claims, self._keys[0], algorithms=ALGORITHMS)

    def public_keys(self) -> KeySetSerialization:
        """The JWKS document (RFC 7517)."""
        return {"keys": [key.as_dict(private=False) | {"use": "sig", "alg": ALGORITHMS[0]} for key in self._keys]}


EndOf = Callable[[str], Ended | None]
"""Why a session ended, if it has: `EndedSessions.get`."""
FetchKeys = Callable[[], Awaitable[KeySetSerialization]]


def jwks_over_http(settings: TokenSettings) -> FetchKeys:
    """Fetch the issuer's keys from its JWKS address."""
    context = tls.client_context(settings.ca)

    async def fetch() -> KeySetSerialization:
        async with httpx2.AsyncClient(timeout=2, verify=context) as client:
            response = await client.get(settings.jwks_url)
            keys: KeySetSerialization = response.raise_for_status().json()
            return keys

    return fetch


class TokenVerifier:
    """Checks tokens; fetches the issuer's keys at first use, when they are old, and for an unknown key id."""

    REFETCH_SECONDS = 10  # at most this often, however many forged key ids arrive
    REFRESH_SECONDS = 300  # a key that the issuer withdrew is forgotten

    def __init__(self, fetch: FetchKeys, settings: TokenSettings, clock: Clock, end_of: EndOf) -> None:
        self._fetch = fetch
        self._clock = clock
        self._end_of = end_of
        self._fresh_seconds = settings.fresh_seconds
        self._keys: KeySet | None = None
        self._fetched_at: datetime | None = None
        self._lock = asyncio.Lock()
        self._known: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Caller:
        """The caller of the token. Raises `Unauthorized`; `Unavailable` if the keys can't be fetched."""
        known = self._known.get(token)
        if known is None:
            known = await self._read(token)
            self._remember(token, known)
        caller, expires = known
        if expires + LEEWAY_SECONDS < self._clock.now().timestamp():
            raise Unauthorized("token_expired", subject=caller.label)
        if caller.session and (ended := self._end_of(caller.session)):
            raise Unauthorized("session_ended", ended, caller.label)
        return caller

    def require_fresh(self, caller: Caller) -> None:
        """Raises 403 `fresh_proof_required`, see `Caller.require_fresh`."""
        caller.require_fresh(self._fresh_seconds, self._clock.now())

    async def ready(self) -> None:
        """A readiness check: the issuer's keys are loaded."""
        if self._keys is None:
            await self._refetch()

    async def _read(self, token: str) -> tuple[Caller, int]:
        if len(token) > TOKEN_BYTES:
            raise Unauthorized("token_invalid")
        keys = await self._keys_for(token)
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            self._claims.validate(decoded.claims)
            if decoded.header.get("typ") != "at+jwt":
                raise Unauthorized("token_forged")
            return _caller(decoded.claims), int(decoded.claims["exp"])
        except ExpiredTokenError as error:
            raise Unauthorized("token_expired") from error
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthorized("token_forged" if _is_signed(token) else "token_invalid") from error

    async def _keys_for(self, token: str) -> KeySet:
        keys = self._keys
        if keys is None or self._age() > self.REFRESH_SECONDS:
            keys = await self._refetch()
        if _key_id(token) in {key.kid for key in keys.keys}:
            return keys
        return await self._refetch()

    def _age(self) -> float:
        return (self._clock.now() - self._fetched_at).total_seconds() if self._fetched_at else float("inf")

    async def _refetch(self) -> KeySet:
        async with self._lock:
            if self._keys and self._age() < self.REFETCH_SECONDS:
                return self._keys
            try:
                self._keys = KeySet.import_key_set(await self._fetch())
            except (httpx2.HTTPError, ValueError) as error:
                logger.warning("token keys not fetched", error=network_error(error))
                if self._keys is None:
                    raise Unavailable("the token issuer") from error
            self._fetched_at = self._clock.now()
            return self._keys

    def _remember(self, token: str, known: tuple[Caller, int]) -> None:
        self._known[token] = known
        if len(self._known) > REMEMBERED_TOKENS:
            self._known.popitem(last=False)


def _is_signed(token: str) -> bool:
    """Whether it is a JWS, and not some text sent by mistake."""
    try:
        return bool(jws.extract_compact(token.encode()))
    except (JoseError, ValueError):
        return False


def _key_id(token: str) -> str | None:
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
    except (JoseError, ValueError):
        return None
    return kid if isinstance(kid, str) else None  # a forged token may contain anything there


def _caller(claims: dict[str, object]) -> Caller:
    kind = claims["kind"]
    if kind not in ("practitioner", "staff", "client"):
        raise ValueError("unknown kind of caller")
    return Caller(
        subject=str(claims["sub"]),
        kind=kind,
        roles=frozenset(field_of(claims, "roles", list) if claims.get("roles") else []),
        scopes=frozenset(str(claims.get("scope") or "").split()),
        session=cast(str | None, claims.get("sid")),
        auth_time=cast(int | None, claims.get("auth_time")),
    )
