"""What calling a vendor's SDK needs, whoever the vendor is: threads, and the truth about a call that failed."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from services.notify.domain import NotSent, Outcome, Unknown

T = TypeVar("T")
for _telltale in ("urllib3", "tencentcloud_sdk_common", "darabonba-core"):  # with DEBUG they write whole requests
    logging.getLogger(_telltale).setLevel(logging.ERROR)

NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)


class Threads:
    """The SDKs block, so each call has a thread of a bounded pool."""

    def __init__(self, name: str, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, name)

    async def run(self, call: Callable[[], T]) -> T:
        """The call's result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)


def outcome_of_failure(error: Exception) -> Outcome:
    """Of a call without a readable answer. Nothing of the error's text is kept: it holds the request."""
    if any(isinstance(each, NEVER_CONNECTED) for each in _chain(error)):
        return NotSent()
    return Unknown(type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from; Aliyun's SDK keeps that in an attribute of its own."""
    while error is not None:
        yield error
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
