"""Runs a process with a seeded bug: `python -m tests.support.broken_process BUG MODULE [ARGUMENT …]`.

For the cluster, where a bug needs cut connections to do harm, or another process to do it in: `… unfenced
services.records worker`. `apply` puts the bug into the current process.
"""

import runpy
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pymongo.write_concern import WriteConcern

import kit.kafka
import kit.messaging.consumer
import kit.messaging.groups
import kit.messaging.publisher
import kit.mongo.database
import kit.mongo.projection
import kit.redis
from contracts.identity import CODE_CONTEXT
from kit.core.errors import Unavailable
from kit.kafka import TransactionalProducer
from kit.security.encryption import Cipher
from tests.support import broken_consumers, broken_publishers


def _producer(broken: type[TransactionalProducer]) -> None:
    publisher = kit.messaging.publisher.Publisher.__init__
    publisher.__defaults__ = (*(publisher.__defaults__ or ())[:-1], broken)


def _feed() -> None:
    vars(kit.messaging.publisher)["Feed"] = broken_publishers.LooksUp


def _consumer() -> None:
    vars(kit.messaging.groups)["Consumer"] = broken_consumers.CommitsFirst


def _member() -> None:
    vars(kit.kafka)["Consumer"] = broken_consumers.FromLatest


def _projection() -> None:
    kit.mongo.projection.Projection.put = broken_consumers.Unguarded.put  # type: ignore[assignment,method-assign]


def _write_concern() -> None:
    vars(kit.mongo.database)["WriteConcern"] = lambda **_: WriteConcern(w=1, j=False)


def _limits() -> None:
    limits = kit.redis.RateLimits
    for name in ("hit", "check"):
        setattr(limits, name, _open(getattr(limits, name)))


def _open(limit: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def permit(*args: Any, **kwargs: Any) -> None:
        try:
            await limit(*args, **kwargs)
        except Unavailable:
            return

    return permit


def _plain_codes() -> None:
    encrypt = Cipher.encrypt

    def plain(self: Cipher, text: str, context: str) -> str:
        return text if context.startswith(CODE_CONTEXT) else encrypt(self, text, context)

    Cipher.encrypt = plain  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "token_before_ack": partial(_producer, broken_publishers.PositionFirst),
    "no_version_guard": _projection,
    "update_lookup": _feed,
    "unfenced": partial(_producer, broken_publishers.Unfenced),
    "auto_commit": _consumer,
    "w1": _write_concern,
    "offset_latest": _member,
    "changed_key": partial(_producer, broken_publishers.ChangesKey),
    "changed_person": partial(_producer, broken_publishers.MovesPerson),
    "lost_tombstone": partial(_producer, broken_publishers.LosesTombstones),
    "fail_open": _limits,
    "personal_data": _plain_codes,
}
"""By name; the twelfth, a retry without its key, is a client's: tests/support/broken_clients.py."""


def apply(bug: str) -> None:
    """Put the bug into this process."""
    BUGS[bug]()


def main() -> None:
    """Put a bug into this process, and run the module in it."""
    bug, module, *arguments = sys.argv[1:]
    apply(bug)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
