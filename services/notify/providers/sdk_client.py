"""The base class of the carriers' clients: a vendor's blocking SDK, run in threads, its errors mapped to outcomes."""

import asyncio
import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import ClassVar, TypeVar

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from kit.core.errors import Unavailable
from services.notify.domain import NotSent, Outcome, Reason, Refused, Report, Sms, Unknown, outcome_of

T = TypeVar("T")
for _logger in ("urllib3", "tencentcloud_sdk_common", "darabonba-core"):  # at DEBUG they log whole requests
    logging.getLogger(_logger).setLevel(logging.ERROR)

NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)


class CarrierClient(ABC):
    """An account at a carrier.

    A subclass calls the SDK and lets its exceptions through; it also reads the carrier's error code from them.
    """

    name: ClassVar[str]
    reasons: ClassVar[Mapping[str, Reason]]

    def __init__(self, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, self.name)

    async def send(self, sms: Sms) -> Outcome:
        """Send one message; every failure is an outcome."""
        return await self._in_thread(partial(self._outcome_of_sending, sms))

    async def reports(self, phone: str, since: datetime) -> list[Report]:
        """Return the receipts of messages sent to `phone` at `since` or later. Raises `Unavailable`."""
        return await self._in_thread(partial(self._reports_or_unavailable, phone, since))

    @abstractmethod
    def _send(self, sms: Sms) -> Outcome:
        """Call the SDK, in a thread."""

    @abstractmethod
    def _query_reports(self, phone: str, since: datetime) -> list[Report]:
        """Call the SDK, in a thread."""

    @abstractmethod
    def _error_code(self, error: Exception) -> str | None:
        """Return the carrier's code for an error that it answered; None for any other exception."""

    def _outcome_of_sending(self, sms: Sms) -> Outcome:
        try:
            return self._send(sms)
        except Exception as error:
            return self._outcome_of_error(error)

    def _reports_or_unavailable(self, phone: str, since: datetime) -> list[Report]:
        try:
            return self._query_reports(phone, since)
        except Exception as error:
            if isinstance(self._outcome_of_error(error), Refused):
                return []
            raise Unavailable(self.name) from None

    def _outcome_of_error(self, error: Exception) -> Outcome:
        """Map an exception of the SDK; its text is not kept, because it contains the request."""
        code = self._error_code(error)
        if code is not None:
            return outcome_of(code, self.reasons)
        if any(isinstance(each, NEVER_CONNECTED) for each in _chain(error)):
            return NotSent()
        return Unknown(type(error).__name__)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes; Aliyun's SDK stores a cause in an attribute of its own."""
    while error is not None:
        yield error
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
