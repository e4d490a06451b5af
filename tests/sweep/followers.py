"""Subscribers over HTTP: a reader of the change feed, and a receiver of webhooks that fails now and then."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

from starlette.responses import Response

from tests.support.change_clients import Client
from tests.support.receiver import Event, Receiver, receiving
from tests.sweep.answers import Answers, pause_before_retry
from tests.sweep.history import Channel, Delivery, History

FAILURES = 0.02
"""The share of deliveries that the receiver refuses."""
WAIT_SECONDS = 10


def delivery(channel: Channel, event: Event) -> Delivery:
    """The entry of an accepted event, as the feed and webhooks pass it on."""
    return Delivery(channel, event["partitionkey"], event["subject"], int(event["sequence"]), time.monotonic())


@dataclass
class FeedReader:
    """Follows the feed as its documentation says: keeps the cursor, and retries after any error."""

    client: Client
    answers: Answers
    history: History
    cursor: str = ""

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            await self.answers.guarded(self._read)

    async def _read(self) -> None:
        call = self.client.changes(after=self.cursor, wait=WAIT_SECONDS, limit=500)
        answer = await self.answers.ask(call, 200, 429)
        if answer is None or answer.status_code != 200:
            await pause_before_retry(answer)
            return
        body = answer.json()
        for event in body["items"]:
            self.history.add(delivery("feed", event))
        self.cursor = body["next_cursor"]


@asynccontextmanager
async def following(client: Client, answers: Answers, history: History) -> AsyncIterator[None]:
    """A reader of the feed from now on, for the length of the block."""
    reader = FeedReader(client, answers, history, await client.end())
    task = asyncio.create_task(reader.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def webhook(client: Client, history: History, random: Random) -> AsyncIterator[Receiver]:
    """A registered webhook and its receiver, for the length of the block."""

    def respond(event: Event) -> Response:
        if random.random() < FAILURES:
            return Response(status_code=503)
        history.add(delivery("webhook", event))
        return Response(status_code=204)

    async with receiving(respond) as receiver:
        await client.registered(receiver.url)
        try:
            yield receiver
        finally:
            with suppress(Exception):  # the gateway may be unavailable
                await client.forget()
