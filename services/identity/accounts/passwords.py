"""Passwords of staff: which may be chosen (ASVS 5.0 V6.2), and how they are hashed and compared."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kit.core.errors import AppError, InvalidFields, TooManyRequests, Unavailable
from services.identity.throttle import TOO_OFTEN

T = TypeVar("T")
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's minimum
NOBODY = HASHER.hash("nobody has this password")
MIN_LENGTH, MAX_LENGTH = 12, 128
"""Characters. NIST asks for 15 where a password is the only factor; staff have a second one."""
MIN_NAME_LENGTH = 4
"""A user name that is shorter may be part of a password: it is part of many words."""
PRODUCT = ("practitioner", "从业人员", "congyerenyuan")
PREFIX_BYTES = 4
BREACHED = "breached_passwords.bin"
"""Sorted beginnings of SHA-1 hashes, made by deploy/passwords/make.py."""


class LoginFailed(AppError):
    """The same answer for every cause; the security event tells which it was, and whose account."""

    cause = ""

    def __init__(self, cause: str, subject: str = "") -> None:
        self.cause, self.subject = cause, subject
        super().__init__(401, "login_failed", "用户名、密码或动态口令不正确")


def check_choice(password: str, username: str, field: str) -> None:
    """Raises `InvalidFields` for `field` unless the password may be chosen: any characters, no rules of composition."""
    if fault := _fault(password, username):
        raise InvalidFields.one(field, *fault)


def _fault(password: str, username: str) -> tuple[str, str] | None:
    folded, name = password.casefold(), username.casefold()
    if len(password) < MIN_LENGTH:
        return "password_too_short", f"密码至少{MIN_LENGTH}个字符，可以用一句容易记住的话"
    if len(password) > MAX_LENGTH:
        return "too_long", f"密码最多{MAX_LENGTH}个字符"
    if any(word in folded for word in PRODUCT) or (len(name) >= MIN_NAME_LENGTH and name in folded):
        return "password_guessable", "密码不能包含用户名或系统名称"
    if marked(password) in _breached():
        return "password_breached", "该密码出现在已泄露的密码中，容易被猜到，请换一个"
    return None


def marked(password: str) -> bytes:
    """How a password is found in the list, in whatever case it is written."""
    return hashlib.sha1(password.casefold().encode(), usedforsecurity=False).digest()[:PREFIX_BYTES]


@cache
def _breached() -> frozenset[bytes]:
    content = files(__package__).joinpath(BREACHED).read_bytes()
    return frozenset(content[at : at + PREFIX_BYTES] for at in range(0, len(content), PREFIX_BYTES))


class Passwords:
    """argon2 on threads, a few at a time: each takes 19 MiB and 24 ms of a core. Few wait, and few of one network."""

    def __init__(self, at_once: int = 2, most_waiting: int = 40, most_of_one: int = 8) -> None:
        self._room, self._waiting = asyncio.Semaphore(at_once), Counter[str]()
        self._most, self._most_of_one = most_waiting, most_of_one

    async def hash(self, password: str) -> str:
        """The hash to keep. Raises `Unavailable` at once when too many wait."""
        return await self._in_turn("", HASHER.hash, password)

    async def fits(self, password: str, kept: str | None, network: str = "") -> bool:
        """Whether it is the password behind `kept`; as slow where there is none. Raises 429, `Unavailable`."""
        fits = await self._in_turn(network, _verify, kept or NOBODY, password)
        return fits and kept is not None

    async def _in_turn(self, network: str, work: Callable[..., T], *given: str) -> T:
        if self._waiting[network] >= self._most_of_one:
            raise TooManyRequests(1, TOO_OFTEN, "hashing")
        if self._waiting.total() >= self._most:
            raise Unavailable("password hashing")
        self._waiting[network] += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work, *given)
        finally:
            self._waiting -= Counter([network])


def _verify(kept: str, password: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
