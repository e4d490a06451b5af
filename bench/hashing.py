"""Rows: what it costs to check a member of staff's password, and an API client's secret."""

import secrets
from collections.abc import Awaitable, Callable
from statistics import median
from time import process_time

from bench.stack import Stack
from bench.table import Row
from kit.security.encryption import constant_time_equal, keyed_hash
from services.identity.accounts.passwords import HASHER, Passwords

ROUNDS, EACH = 10, 5
DEARER, CHEAPER = 1.1, 0.01


async def rows(stack: Stack) -> list[Row]:
    secret, key = secrets.token_urlsafe(32), secrets.token_bytes(32)
    slow = HASHER.hash(secret)
    fast = keyed_hash(key, "client", secret)
    passwords = Passwords()

    async def bare() -> None:
        HASHER.verify(slow, secret)

    async def password() -> None:
        await passwords.matches(secret, slow)

    async def client() -> None:
        constant_time_equal(fast, keyed_hash(key, "client", secret))

    taken: dict[str, list[float]] = {"bare": [], "password": [], "client": []}
    for _ in range(ROUNDS):
        for name, check in {"bare": bare, "password": password, "client": client}.items():
            taken[name].append(await _cpu_ms(check))
    costs = {name: median(each) for name, each in taken.items()}
    return [
        _row("a password of staff checked", costs["password"], costs["bare"], DEARER),
        _row("a secret of an API client checked", costs["client"], costs["bare"], CHEAPER),
    ]


async def _cpu_ms(check: Callable[[], Awaitable[None]]) -> float:
    began = process_time()
    for _ in range(EACH):
        await check()
    return (process_time() - began) / EACH * 1000


def _row(name: str, ours: float, bare: float, most: float) -> Row:
    share = ours / bare
    name = f"{name}, CPU (bare Argon2 with OWASP's least cost beside it)"
    texts = f"{ours:.3f} ms", f"{bare:.3f} ms", f"≤ {most} ×", f"{share:.3f} ×"
    return Row(name, *texts, share <= most, {"ours": ours, "bare": bare})
