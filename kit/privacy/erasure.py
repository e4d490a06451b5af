"""Erasing a person: removes what a service holds of them in the database, the bucket and its dead letters.

The ids of erased people are stored, because a late event must not bring their data back. An event alone erases nothing,
since anyone who can write to the topic could forge it: the service that stores the erasures has to confirm it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx2
from pydantic import BaseModel, ValidationError

from kit.core.clock import Clock
from kit.core.documents import field_of
from kit.core.errors import Unavailable, network_error
from kit.core.events import Event
from kit.core.ids import is_id
from kit.files.blobs import Bucket
from kit.kafka import dead_letters
from kit.messaging.consumer import Handler
from kit.mongo import Database, Fields, Index, translate_errors
from kit.mongo.removal import Removal
from kit.observability import log, metrics
from kit.privacy.personal_data import PersonalData
from kit.runtime import tls
from kit.runtime.periodic import every
from kit.security import security_events
from kit.settings import KafkaSettings, TokenSettings

ERASED = "erased"
ASK_SECONDS = 5
NOT_CONFIRMED = "not_confirmed"
Confirmed = Callable[[str], Awaitable[bool]]
"""Whether a person (their id) is erased, as the service that stores the erasures answers. Raises `Unavailable`."""
logger = log.get(__name__)


class _Answer(BaseModel):
    erased: bool


def confirmed_over_http(settings: TokenSettings) -> Confirmed:
    """Ask the token issuer, which stores the erasures. A malformed response counts as unavailable."""
    context = tls.client_context(settings.ca)

    async def confirmed(person: str) -> bool:
        try:
            async with httpx2.AsyncClient(timeout=ASK_SECONDS, verify=context) as http:
                response = await http.get(f"{settings.erased_url}/{person}")
            return _Answer.model_validate(response.raise_for_status().json()).erased
        except (httpx2.HTTPError, ValidationError, ValueError) as error:
            logger.warning("erasure confirmation failed", error=network_error(error))
            raise Unavailable("the service that stores the erasures") from error

    return confirmed


@dataclass(frozen=True)
class ErasurePolicy:
    """`again`: how long after an erasure it is repeated.

    First when every request and token of that time has ended; then when the topics' segments have been rolled
    (`segment.ms` is six hours), because Kafka compacts a quiet partition only after a further record.
    """

    again: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(days=1))
    pause_seconds: float = 30.0


async def create_indexes(database: Database, personal_data: Sequence[PersonalData], removal: Removal) -> None:
    """Create the indexes that an erasure needs."""
    await removal.prepare()
    with translate_errors():
        for place in personal_data:
            if not place.indexed:
                await database[place.collection].create_indexes([Index([(place.person, 1)], name="of_person")])


class Erasure:
    """Erases people in a service. Idempotent: after a crash the erasure is repeated."""

    def __init__(
        self, database: Database, personal_data: Sequence[PersonalData], removal: Removal, groups: Sequence[str],
        kafka: KafkaSettings, clock: Clock, bucket: Bucket | None = None, *, confirmed: Confirmed,
        policy: ErasurePolicy = ErasurePolicy(),
    ) -> None:  # fmt: skip
        self._confirmed, self._policy = confirmed, policy
        security_events.initialise(NOT_CONFIRMED, event="erasure")
        self._personal_data = personal_data
        self._removal = removal
        self._groups = groups
        self._bucket = bucket
        self._database = database
        self._erased = database[ERASED]
        self._kafka = kafka
        self._clock = clock
        self._known: set[str] | None = None
        self._prepared = False

    async def prepare(self) -> None:
        """Create the indexes once; a readiness check."""
        if not self._prepared:
            await create_indexes(self._database, self._personal_data, self._removal)
            self._prepared = True

    async def handle(self, event: Event) -> None:
        """Handle a confirmed erasure event. Others are dropped: as dead letters they could stop the group."""
        person = event.practitioner_id
        if is_id(person) and await self._confirmed(person):
            await self.erase(person)
        else:
            security_events.record(
                "erasure", "denied", NOT_CONFIRMED, f"practitioner:{person}" if is_id(person) else ""
            )

    async def erase(self, person: str) -> None:
        """Erase a person now, and again later. Raises `Unavailable`."""
        now = self._clock.now()
        await self._remember(person, {"at": now, "passes": 0, "due_at": now + self._policy.again[0]})
        (await self._people()).add(person)
        documents = await self._erase_pass(person)
        security_events.record("erasure", subject=f"practitioner:{person}", documents=documents)

    async def _remember(self, person: str, state: Fields) -> None:
        with translate_errors():
            await self._erased.replace_one({"_id": person}, state, upsert=True)

    async def _erase_pass(self, person: str) -> int:
        documents = sum([await self._remove_documents(place, person) for place in self._personal_data])
        await self._removal.republish(person)
        letters = await dead_letters.remove_for_person(self._kafka, self._groups, person)
        metrics.erased_documents.inc(documents)
        logger.info("person erased", practitioner_id=person, documents=documents, dead_letters=letters)
        return documents

    async def _remove_documents(self, place: PersonalData, person: str) -> int:
        """Remove files before documents: without its document a file could not be found."""
        removed = 0
        while found := await self._removal.find(place.collection, {place.person: person}):
            for document in found:
                for prefix in place.files(document):
                    await self._remove_files(prefix)
                await self._removal.remove(place.collection, document)
            removed += len(found)
        return removed

    async def _remove_files(self, prefix: str) -> None:
        if self._bucket is not None:
            for key in await self._bucket.keys(prefix):
                await self._bucket.delete(key)

    def unless_erased(self, handler: Handler) -> Handler:
        """Wrap a handler so that it skips events about erased people."""

        async def handle(event: Event) -> None:
            if event.practitioner_id not in await self._people():
                await handler(event)

        return handle

    async def _people(self) -> set[str]:
        """The ids of erased people, at most half a minute old; the repeated erasure removes what is stored meanwhile.

        Cached, because an event must not cost a database query.
        """
        if self._known is None:
            await self._read()
        return self._known or set()

    async def _read(self) -> None:
        with translate_errors():
            found = await self._erased.find({}, {"_id": True}).to_list(None)
        self._known = {field_of(each, "_id", str) for each in found}

    async def run(self) -> None:
        """Repeat erasures when they are due, until cancelled."""
        await every(self._policy.pause_seconds, self._read_and_repeat_due, "erasures")

    async def _read_and_repeat_due(self) -> None:
        await self._read()
        await self.repeat_due()

    async def repeat_due(self) -> None:
        """Repeat the erasures that are due."""
        with translate_errors():
            due = await self._erased.find({"due_at": {"$lte": self._clock.now()}}).to_list(None)
        for state in due:
            person = field_of(state, "_id", str)
            at = field_of(state, "at", datetime)
            again = self._policy.again
            await self._erase_pass(person)
            passes = field_of(state, "passes", int) + 1
            following = at + again[passes] if passes < len(again) else None
            await self._remember(person, {"at": at, "passes": passes, "due_at": following})
