"""The heads on their topic, which identity can append to but not change."""

from contracts.audit import HeadSigned
from kit import kafka
from kit.kafka import Record
from kit.mongo import Duplicate
from kit.settings import KafkaSettings
from services.identity.audit.domain import Head
from services.identity.audit.store import TrailStore


async def published_heads(settings: KafkaSettings) -> list[HeadSigned]:
    """The heads on the topic, in order of their numbers; each once, although a snapshot repeats them."""
    found = dict[tuple[int, str], HeadSigned]()

    def take(record: Record) -> None:
        if record.value is not None and dict(record.headers).get("ce_type") == HeadSigned.TYPE.encode():
            head = HeadSigned.model_validate_json(record.value)
            found[head.number, head.statement] = head

    await kafka.read_all(settings, [HeadSigned.TOPIC], take)
    return [found[key] for key in sorted(found)]


async def restore_heads(settings: KafkaSettings, store: TrailStore) -> None:
    """Store the heads that a restored backup does not have, so that no number is used twice."""
    for published in await published_heads(settings):
        place = published.sequence, published.hash
        head = Head.signed(published.number, place, published.statement, at=published.signed_at)
        try:
            await store.heads.insert(head)
        except Duplicate:
            continue
