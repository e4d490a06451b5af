"""Access tokens: tokens of the issuer are accepted, all others refused."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import KeySetSerialization, OctKey, OKPKey

from kit.core.clock import ManualClock
from kit.core.errors import NotFound
from kit.security.tokens import Caller, Ended, TokenIssuer, TokenVerifier, Unauthorized
from kit.settings import TokenSettings

SETTINGS = TokenSettings(issuer="us", audience="our services", jwks_url="http://unused.invalid")
WHO = Caller("zhang", "practitioner", session="s1")


def key(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"}, private=True)


class TokenSetup:
    """An issuer, and a verifier that reads the keys which the issuer publishes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keys = [key("first")]
        self.fetched = 0
        self.ended: dict[str, Ended] = {}
        self.verifier = TokenVerifier(self.published, SETTINGS, self.clock, self.ended.get)

    @property
    def issuer(self) -> TokenIssuer:
        return TokenIssuer(self.keys, SETTINGS, self.clock, 300)

    async def published(self) -> KeySetSerialization:
        self.fetched += 1
        return self.issuer.public_keys()

    def claims(self, **other: object) -> dict[str, Any]:
        now = int(self.clock.now().timestamp())
        return {
            "iss": "us", "aud": "our services", "sub": "zhang", "iat": now, "exp": now + 300, "kind": "practitioner",
            **other,
        }  # fmt: skip

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """A token signed with the right key, with any header."""
        full = {"alg": "Ed25519", "kid": "first", "typ": "at+jwt", **header}
        text = ".".join(part(value) for value in (full, claims))
        signature = jws.serialize_compact(
            {"alg": "Ed25519"}, b"", self.keys[0], algorithms=["Ed25519"]
        )  # any signature of the right shape
        return f"{text}.{signature.rpartition('.')[2]}"

    def well_formed(self, claims: dict[str, Any], **header: Any) -> str:
        full = {"alg": "Ed25519", "kid": "first", "typ": "at+jwt", **header}
        return jwt.encode(full, claims, self.keys[0], algorithms=["Ed25519"])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture
def tokens() -> TokenSetup:
    return TokenSetup()


async def test_what_the_issuer_signs_is_accepted_for_its_lifetime(tokens: TokenSetup) -> None:
    token = tokens.issuer.issue(WHO)
    assert await tokens.verifier.verify(token) == WHO
    tokens.clock.advance(timedelta(seconds=299))
    assert await tokens.verifier.verify(token) == WHO
    tokens.clock.advance(timedelta(seconds=10))
    with pytest.raises(Unauthorized):
        await tokens.verifier.verify(token)


async def test_a_token_of_a_session_that_ended_is_refused_with_the_reason(tokens: TokenSetup) -> None:
    token, of_a_client = tokens.issuer.issue(WHO), tokens.issuer.issue(Caller("client", "client"))
    assert await tokens.verifier.verify(token) == WHO
    tokens.ended["s1"] = Ended("logged_out", "您已退出登录")
    with pytest.raises(Unauthorized) as caught:
        await tokens.verifier.verify(token)
    body = caught.value.marshal()
    assert (body["code"], body["reason"], body["detail"]) == ("unauthorized", "logged_out", "您已退出登录")
    assert (await tokens.verifier.verify(of_a_client)).session is None


def unsigned(tokens: TokenSetup) -> str:
    return f"{part({'alg': 'none', 'kid': 'first', 'typ': 'at+jwt'})}.{part(tokens.claims())}."


def signed_with_the_public_key(tokens: TokenSetup) -> str:
    public = tokens.keys[0].as_dict(private=False)["x"]
    secret = OctKey.import_key(str(public), {"kid": "first"})
    return jwt.encode({"alg": "HS256", "kid": "first", "typ": "at+jwt"}, tokens.claims(), secret, algorithms=["HS256"])


def signed_by_a_stranger(tokens: TokenSetup) -> str:
    header = {"alg": "Ed25519", "kid": "first", "typ": "at+jwt"}
    return jwt.encode(header, tokens.claims(), key("first"), algorithms=["Ed25519"])


def altered(tokens: TokenSetup) -> str:
    head, _, signature = tokens.issuer.issue(WHO).split(".")
    return f"{head}.{part(tokens.claims(sub='li'))}.{signature}"


def own_key_in_the_header(tokens: TokenSetup) -> str:
    stranger = key("mine")
    header = {"alg": "Ed25519", "kid": "mine", "typ": "at+jwt", "jwk": stranger.as_dict(private=False)}
    return jwt.encode(header, tokens.claims(), stranger, algorithms=["Ed25519"])


FORGERIES: dict[str, Callable[[TokenSetup], str]] = {
    "alg none": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "a stranger's key": signed_by_a_stranger,
    "altered claims": altered,
    "a key of its own in the header": own_key_in_the_header,
    "another issuer": lambda tokens: tokens.well_formed(tokens.claims(iss="them")),
    "another audience": lambda tokens: tokens.well_formed(tokens.claims(aud="their services")),
    "an audience list of others": lambda tokens: tokens.well_formed(tokens.claims(aud=["a", "b"])),
    "no audience": lambda tokens: tokens.well_formed({k: v for k, v in tokens.claims().items() if k != "aud"}),
    "no expiry": lambda tokens: tokens.well_formed({k: v for k, v in tokens.claims().items() if k != "exp"}),
    "no subject": lambda tokens: tokens.well_formed({k: v for k, v in tokens.claims().items() if k != "sub"}),
    "expired": lambda tokens: tokens.well_formed(tokens.claims(exp=int(tokens.clock.now().timestamp()) - 60)),
    "an expiry of text": lambda tokens: tokens.well_formed(tokens.claims(exp="tomorrow")),
    "another type": lambda tokens: tokens.well_formed(tokens.claims(), typ="JWT"),
    "an unknown kind": lambda tokens: tokens.well_formed(tokens.claims(kind="god")),
    "an unknown key id": lambda tokens: tokens.well_formed(tokens.claims(), kid="other"),
    "a path for key id": lambda tokens: tokens.signed(tokens.claims(), kid="../../../dev/null"),
    "a list for key id": lambda tokens: tokens.signed(tokens.claims(), kid=["first"]),
    "an object for key id": lambda tokens: tokens.signed(tokens.claims(), kid={"first": 1}),
    "a number for key id": lambda tokens: tokens.signed(tokens.claims(), kid=1),
    "no key id": lambda tokens: tokens.signed(tokens.claims(), kid=None),
    "a header that is a list": lambda tokens: f"{part([1])}.{part(tokens.claims())}.AAAA",
    "no JSON": lambda _house: "AAAA.AAAA.AAAA",
    "nothing": lambda _house: "",
    "points": lambda _house: "...",
    "very long": lambda _house: "a" * 5_000,
    "not base64": lambda _house: "§§§.§§§.§§§",
}


CAUSES = {"expired": "token_expired"} | dict.fromkeys(
    ("no JSON", "nothing", "points", "very long", "not base64", "a header that is a list"), "token_invalid"
)


@pytest.mark.parametrize("name", FORGERIES)
async def test_every_other_token_is_refused(tokens: TokenSetup, name: str) -> None:
    token = FORGERIES[name](tokens)
    with pytest.raises(Unauthorized) as refused:
        await tokens.verifier.verify(token)
    assert refused.value.cause == CAUSES.get(name, "token_forged")


async def test_no_single_bit_of_a_signature_may_differ(tokens: TokenSetup) -> None:
    head, claims, signature = tokens.issuer.issue(WHO).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for number in range(512):
        bit = bytearray(raw)
        bit[number // 8] ^= 1 << number % 8
        forged = base64.urlsafe_b64encode(bytes(bit)).decode().rstrip("=")
        with pytest.raises(Unauthorized):
            await tokens.verifier.verify(f"{head}.{claims}.{forged}")


async def test_a_new_signing_key_logs_nobody_out(tokens: TokenSetup) -> None:
    old = tokens.issuer.issue(WHO)
    await tokens.verifier.verify(old)
    tokens.clock.advance(timedelta(seconds=20))
    tokens.keys.insert(0, key("second"))
    assert await tokens.verifier.verify(tokens.issuer.issue(WHO)) == WHO
    tokens.clock.advance(timedelta(seconds=1))
    fresh = TokenVerifier(tokens.published, SETTINGS, tokens.clock, tokens.ended.get)
    assert await fresh.verify(old) == WHO


async def test_forged_key_ids_do_not_cause_unlimited_fetches(tokens: TokenSetup) -> None:
    await tokens.verifier.verify(tokens.issuer.issue(WHO))
    for number in range(100):
        with pytest.raises(Unauthorized):
            await tokens.verifier.verify(tokens.well_formed(tokens.claims(), kid=f"forged-{number}"))
    assert tokens.fetched <= 2


def test_objects_of_other_people_are_not_found() -> None:
    assert WHO.own("me") == WHO.own("zhang") == "zhang"
    for caller in (Caller("li", "practitioner"), Caller("zhang", "staff"), Caller("zhang", "client")):
        with pytest.raises(NotFound):
            caller.own("zhang")
