"""A sender for one test: notify's real components on their own database, with simulated carriers."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest import mock

from deploy.local.people import random_phone
from kit import mongo
from kit.mongo import Database
from services.notify.domain import Message
from services.notify.requests import Requests
from services.notify.sender import Sender
from services.notify.settings import Settings
from services.notify.store import Messages
from services.notify.wiring.worker import sending
from tests.support.names import own_id, own_name
from tests.support.sms import ACCOUNTS, Codes
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


@dataclass
class Sending:
    """The components of the sender."""

    codes: Codes
    database: Database
    messages: Messages
    requests: Requests
    sender: Sender

    async def code(self, phone: str = "", lifetime: float = 300, challenge: str = "") -> str:
        """Requests a code and hands it to the sender. Returns the challenge."""
        event = self.codes.event(phone or random_phone(), lifetime, challenge or own_id())
        await self.requests.code_requested(event)
        return event.challenge_id

    async def about(self, what: str) -> Message:
        found = await self.database["messages"].find_one({"about": what})
        assert found is not None
        return Message.model_validate(found)

    async def reaches(self, what: str, *states: str, within: float = 20) -> Message:
        """The message about this, once it is in one of these states."""

        async def found() -> Message | None:
            message = await self.about(what)
            return message if message.state in states else None

        message = await eventually(found, within, f"{states}")
        assert message is not None
        return message


def own_settings(stack: RunningStack, operators: Mapping[str, str], changes: Mapping[str, str]) -> Settings:
    """The settings of the stack's worker, with other carriers and the test's changes."""
    environment = stack.environment("notify-worker") | dict(changes)
    for name, address in operators.items():
        environment[f"{name.upper()}__ENDPOINT"] = address
        environment |= {f"{name.upper()}__{key.upper()}": value for key, value in ACCOUNTS[name].items()}
    with mock.patch.dict(os.environ, environment):
        return Settings()


@asynccontextmanager
async def own_sending(
    stack: RunningStack, operators: Mapping[str, str], changes: Mapping[str, str], *, running: bool = True
) -> AsyncIterator[Sending]:
    """A sender for the length of the block; its database is dropped afterwards."""
    name = own_name("notify")
    async with mongo.connect(stack.mongo, name) as database:
        requests, sender = sending(own_settings(stack, operators, changes), database)
        task = asyncio.create_task(sender.run()) if running else None
        try:
            yield Sending(Codes(stack), database, Messages(database), requests, sender)
        finally:
            if task:
                task.cancel()
                await asyncio.wait([task])
            await database.client.drop_database(name)
