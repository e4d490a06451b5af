"""The ways a message leaves: robots of WeCom and DingTalk, e-mail. `Undelivered`: Alertmanager has to try again."""

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
import time
from collections import deque
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol

import httpx2

from deploy.alerts.notices import Message
from deploy.alerts.settings import AlertSettings, DingTalkSettings, MailSettings

ROBOT_MESSAGES_A_MINUTE = 20
"""Both robots' documented limit. DingTalk ignores a robot that exceeds it for ten minutes."""


class Undelivered(Exception):
    """The message did not arrive, as far as is known."""


class TooMany(Undelivered):
    """The channel's limit is reached; nothing was sent."""


class Channel(Protocol):
    """Sends messages of at most `most_bytes`."""

    most_bytes: int

    async def send(self, message: Message) -> None:
        """Raises `Undelivered`."""


class Pace:
    """Allows a number of messages in any minute."""

    def __init__(self, most: int = ROBOT_MESSAGES_A_MINUTE, seconds: float = 60) -> None:
        self._sent: deque[float] = deque(maxlen=most)
        self._seconds = seconds

    def take(self) -> None:
        """Raises `TooMany` if the message has to wait."""
        now = time.monotonic()
        if len(self._sent) == self._sent.maxlen and now - self._sent[0] < self._seconds:
            raise TooMany(f"{self._sent.maxlen} messages within {self._seconds:.0f} s")
        self._sent.append(now)


class WeCom:
    """A WeCom group robot; the key in its address is all that it checks."""

    most_bytes = 4096

    def __init__(self, url: str, client: httpx2.AsyncClient, pace: Pace) -> None:
        self._url, self._client, self._pace = url, client, pace

    async def send(self, message: Message) -> None:
        """As Markdown."""
        self._pace.take()
        body = {"msgtype": "markdown", "markdown": {"content": message.text}}
        await _post(self._client, self._url, {}, body)


class DingTalk:
    """A DingTalk group robot; every call carries the time and its signature."""

    most_bytes = 18_000

    def __init__(self, settings: DingTalkSettings, client: httpx2.AsyncClient, pace: Pace) -> None:
        self._settings, self._client, self._pace = settings, client, pace

    async def send(self, message: Message) -> None:
        """As Markdown; an urgent message notifies everybody in the group, also those who muted it."""
        self._pace.take()
        body = {
            "msgtype": "markdown",
            "markdown": {"title": message.title, "text": message.text},
            "at": {"isAtAll": message.urgent},
        }
        signed = signature(self._settings.secret.get_secret_value(), round(time.time() * 1000))
        await _post(self._client, self._settings.url.get_secret_value(), signed, body)


def signature(secret: str, milliseconds: int) -> dict[str, str]:
    """The two parameters that DingTalk adds to the address: HMAC-SHA256 of the time, with the robot's secret."""
    digest = hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
    return {"timestamp": str(milliseconds), "sign": base64.b64encode(digest).decode()}


class Mail:
    """A mail server."""

    most_bytes = 100_000

    def __init__(self, settings: MailSettings, seconds: float) -> None:
        self._settings, self._seconds = settings, seconds

    async def send(self, message: Message) -> None:
        """As plain text."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.title, self._sender, ", ".join(self._settings.recipients)
        mail["Date"], mail["Message-ID"] = (
            formatdate(localtime=True),
            make_msgid(domain=self._sender.rpartition("@")[2]),
        )
        mail.set_content(message.text)
        try:
            await asyncio.to_thread(self._deliver, mail)
        except (OSError, smtplib.SMTPException) as error:
            raise Undelivered(f"{self._settings.host}: {type(error).__name__}") from error

    @property
    def _sender(self) -> str:
        return self._settings.sender or self._settings.username

    def _deliver(self, mail: EmailMessage) -> None:
        settings, context = self._settings, ssl.create_default_context()
        connect = (
            smtplib.SMTP_SSL(settings.host, settings.port, timeout=self._seconds, context=context)
            if settings.tls == "implicit"
            else smtplib.SMTP(settings.host, settings.port, timeout=self._seconds)
        )
        with connect as server:
            if settings.tls == "starttls":
                server.starttls(context=context)
            if settings.username:
                server.login(settings.username, settings.password.get_secret_value())
            if server.send_message(mail):
                raise smtplib.SMTPException("some recipients were refused")


def channels(settings: AlertSettings, client: httpx2.AsyncClient) -> dict[str, Channel]:
    """The configured channels, by the path that Alertmanager calls."""
    found: dict[str, Channel] = {}
    if url := settings.wecom.url.get_secret_value():
        found["wecom"] = WeCom(url, client, Pace())
    if settings.dingtalk.url.get_secret_value():
        found["dingtalk"] = DingTalk(settings.dingtalk, client, Pace())
    if settings.mail.recipients:
        found["mail"] = Mail(settings.mail, settings.answer_seconds)
    return found


async def _post(client: httpx2.AsyncClient, url: str, parameters: Mapping[str, str], body: object) -> None:
    """Post to a robot, which answers 200 also when it refuses; errors never name the address, which has a secret."""
    try:
        answer = await client.post(httpx2.URL(url).copy_merge_params(parameters), json=body)
        answer.raise_for_status()
        said = answer.json()
        code, reason = said["errcode"], str(said.get("errmsg", ""))[:200]
    except httpx2.HTTPStatusError as error:
        raise Undelivered(f"status {error.response.status_code}") from None
    except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undelivered(type(error).__name__) from None
    if code != 0:
        raise Undelivered(f"errcode {code}: {reason}")
