"""Dead letters: `python -m kit.kafka.dead_letters list|show|replay|drop GROUP`, on the group's real topics.

A dead letter is in the compacted topic `<group>.dead` under its own id (`topic/partition/offset` of where it came
from), bytes unchanged, with the cause in `dead_*` headers. Replaying copies it to `<group>.replay`, which only that
group reads. Replaying and dropping both write a tombstone for the dead letter.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from kit import kafka
from kit.core.audit import COMMAND, ActionRecorded
from kit.core.events import encode
from kit.core.ids import is_id
from kit.kafka import Record
from kit.settings import KafkaSettings, ToolSettings, read

T = TypeVar("T")
SUFFIX = ".dead"
PREFIX = "dead_"
KEY_HEADER = "dead_key"
PERSON = "ce_partitionkey"
SOURCE = "/dead-letters"
"""The source of the entries of the audit trail for what is done with dead letters."""
MAX_TEXT = 200
"""Characters of a header that such an entry shows: a foreign record may have any."""
NOBODY = "nobody"  # not the key of any dead letter
NULL_HEADER = "dead_null"  # the record had no value; a dead letter without one would be a tombstone
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Ids = Annotated[list[str], typer.Argument(help="ids of dead letters as `list` shows them, or `all`")]


def dead_letter_topic(group: str) -> str:
    """The topic of the group's dead letters."""
    return f"{group}{SUFFIX}"


def replay_topic(group: str) -> str:
    """The topic of replayed events; the group reads it along with its own topics."""
    return f"{group}.replay"


class DeadLetterNotFound(Exception):
    """There is no such dead letter, or it was replayed or dropped already."""


@dataclass(frozen=True)
class DeadLetter:
    """An open dead letter: its group, id, time and cause, its headers as texts, its bytes."""

    group: str
    id: str
    at: datetime
    headers: dict[str, str]
    value: bytes

    @classmethod
    def of(cls, record: Record) -> "DeadLetter":
        """Parse a record of the group's dead letter topic."""
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return cls(record.topic.removesuffix(SUFFIX), record.key.decode(), at, headers, record.value)

    @property
    def cause(self) -> str:
        """Why it was dead-lettered."""
        return self.headers[f"{PREFIX}cause"]


def dead_letter_id(record: Record) -> str:
    """The id of the dead letter that `record` becomes; the same record dead-lettered twice is one dead letter."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def dead_letter_headers(record: Record, group: str, cause: str) -> list[tuple[str, bytes]]:
    """The record's headers and the cause. A replayed record that fails again keeps only the newest cause."""
    own = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    facts = {
        "group": group,
        "cause": cause,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    dead = [(f"{PREFIX}{name}", str(value).encode(errors="replace")) for name, value in facts.items()]
    key = [(KEY_HEADER, record.key)] if record.key is not None else []
    return [*own, *dead, *key, *([(NULL_HEADER, b"")] if record.value is None else [])]


async def dead_letters(settings: KafkaSettings, group: str) -> dict[str, Record]:
    """The open dead letters of a group, by id."""
    found: dict[str, Record] = {}

    def take(record: Record) -> None:
        key = record.key.decode()
        found.pop(key, None)
        if record.value is not None:
            found[key] = record

    await kafka.read_all(settings, [dead_letter_topic(group)], take)
    return found


async def all_dead_letters(settings: KafkaSettings) -> list[DeadLetter]:
    """The open dead letters of all groups, oldest first. Raises `Unavailable`."""
    found: dict[tuple[str, str], DeadLetter] = {}

    def take(record: Record) -> None:
        place = record.topic, record.key.decode()
        found.pop(place, None)
        if record.value is not None:
            found[place] = DeadLetter.of(record)

    async with kafka.admin(settings) as admin:
        topics = [topic for topic in await admin.topics() if topic.endswith(SUFFIX)]
    await kafka.read_all(settings, topics, take)
    return sorted(found.values(), key=lambda letter: letter.at)


async def replay(settings: KafkaSettings, group: str, ids: Sequence[str], by: str) -> list[str]:
    """Replay the dead letters to their group, after an entry of the audit trail for each. Returns their ids.

    `by`: who does it, like `staff:<id>`. Raises `DeadLetterNotFound`, with nothing done.
    """
    async with _chosen(settings, group, ids) as (producer, chosen):
        await _record(producer, "replayed", group, chosen, by)
        for identity, letter in chosen.items():
            headers = dict(letter.headers)
            own = [(name, value) for name, value in letter.headers if not name.startswith(PREFIX)]
            value = None if NULL_HEADER in headers else letter.value
            await producer.send(replay_topic(group), headers.get(KEY_HEADER), value, own)
            await producer.send(dead_letter_topic(group), identity.encode(), None, [])
        return list(chosen)


async def drop(settings: KafkaSettings, group: str, ids: Sequence[str], by: str) -> list[str]:
    """Drop the dead letters without handling them, else as `replay`. Returns the ids that were dropped."""
    async with _chosen(settings, group, ids) as (producer, chosen):
        await _record(producer, "dropped", group, chosen, by)
        for identity in chosen:
            await producer.send(dead_letter_topic(group), identity.encode(), None, [])
        return list(chosen)


async def _record(producer: kafka.Producer, action: str, group: str, chosen: Mapping[str, Record], by: str) -> None:
    """An entry of the audit trail for each, which is written first: what fails afterwards has an entry, too."""
    for identity, letter in chosen.items():
        headers = dict(letter.headers)
        facts = {"cause": f"{PREFIX}cause", "type": "ce_type", "event_id": "ce_id"}
        shown = {name: _text(headers[header]) for name, header in facts.items() if header in headers}
        person = _text(headers.get(PERSON, b""))
        entry = ActionRecorded.now(
            "dead_letter", action, by=by, about=person if is_id(person) else group, at=datetime.now(UTC),
            details={"group": group, "dead_letter": identity[:MAX_TEXT], **shown},
        )  # fmt: skip
        record = encode(entry, SOURCE, 1)
        await producer.send(record.topic, record.key, record.value, record.headers)


def _text(header: bytes) -> str:
    return header.decode(errors="replace")[:MAX_TEXT]


async def remove_for_person(settings: KafkaSettings, groups: Sequence[str], person: str) -> int:
    """Drop all dead letters of these groups that concern a person. Returns their number.

    One more tombstone is written to each topic, because Kafka does not compact the last records of a topic.
    """
    producer, count = kafka.Producer(settings), 0
    await producer.start()
    try:
        for group in groups:
            waiting = await dead_letters(settings, group)
            theirs = [key for key, letter in waiting.items() if dict(letter.headers).get(PERSON) == person.encode()]
            for key in [*theirs, NOBODY]:
                await producer.send(dead_letter_topic(group), key.encode(), None, [])
            count += len(theirs)
    finally:
        await producer.close()
    return count


@asynccontextmanager
async def _chosen(
    settings: KafkaSettings, group: str, ids: Sequence[str]
) -> AsyncIterator[tuple[kafka.Producer, dict[str, Record]]]:
    waiting = await dead_letters(settings, group)
    unknown = [] if "all" in ids else [identity for identity in ids if identity not in waiting]
    if unknown:
        raise DeadLetterNotFound(f"no such dead letter in {dead_letter_topic(group)}: {', '.join(unknown)}")
    producer = kafka.Producer(settings)
    await producer.start()
    try:
        yield producer, waiting if "all" in ids else {identity: waiting[identity] for identity in ids}
    finally:
        await producer.close()


def _settings() -> KafkaSettings:
    return read(ToolSettings).kafka


def _run(action: Coroutine[object, object, T]) -> T:
    try:
        return asyncio.run(action)
    except DeadLetterNotFound as error:
        raise typer.BadParameter(str(error)) from error


@app.command("list")
def list_letters(group: str) -> None:
    """List the open dead letters and their causes."""
    from rich.console import Console  # imported here: a worker imports this module, too
    from rich.table import Table

    table = Table("id", "type", "event", "cause")
    for identity, letter in asyncio.run(dead_letters(_settings(), group)).items():
        headers = {name: value.decode(errors="replace") for name, value in letter.headers}
        table.add_row(identity, headers.get("ce_type", "?"), headers.get("ce_id", "?"), headers["dead_cause"])
    Console().print(table)


@app.command()
def show(group: str, identity: str) -> None:
    """Show one dead letter: headers and value."""
    letter = asyncio.run(dead_letters(_settings(), group)).get(identity)
    if letter is None:
        raise typer.BadParameter(f"no such dead letter in {dead_letter_topic(group)}: {identity}")
    headers = {name: value.decode(errors="replace") for name, value in letter.headers}
    typer.echo(json.dumps(headers, indent=2, ensure_ascii=False))
    typer.echo((letter.value or b"").decode(errors="replace"))


@app.command("replay")
def replay_command(group: str, ids: Ids) -> None:
    """Replay dead letters to their group."""
    typer.echo(f"replayed {len(_run(replay(_settings(), group, ids, COMMAND)))}")


@app.command("drop")
def drop_command(group: str, ids: Ids) -> None:
    """Drop dead letters without handling them."""
    typer.echo(f"dropped {len(_run(drop(_settings(), group, ids, COMMAND)))}")


if __name__ == "__main__":
    app()
