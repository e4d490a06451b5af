"""Dead letters for operators to find, written to a real group's topic."""

from datetime import UTC, datetime

from contracts.records import AccessLogged
from kit.core.events import NewEvent, encode
from kit.kafka import Producer
from kit.kafka.dead_letters import dead_letter_topic
from tests.support.names import own_id
from tests.support.stack import RunningStack

DEAD_LETTER_GROUP = "identity.access"
REASON = "窗口咨询"


async def store_dead_letter(stack: RunningStack, cause: str, person: str = "", value: bytes | None = None) -> str:
    """Stores an access event that identity could not process, or `value`. Returns the dead letter's id."""
    access = {
        "practitioner_id": person or own_id(), "version": 1, "action": "looked", "changed": [], "at": datetime.now(UTC),
        "access_id": own_id(), "who": own_id(), "role": "clerk", "what": "records", "document_id": own_id(),
        "reason": REASON,
    }  # fmt: skip
    event = encode(NewEvent(AccessLogged, access), "/test", 1)
    dead_letter_id = f"{event.topic}/0/{own_id()}"
    facts = {"group": DEAD_LETTER_GROUP, "cause": cause, "topic": event.topic, "partition": "0", "offset": "0"}
    dead = [(f"dead_{name}", text.encode()) for name, text in facts.items()]
    producer = Producer(stack.kafka_settings())
    await producer.start()
    try:
        headers = [*event.headers, *dead, ("dead_key", event.key)]
        await producer.send(
            dead_letter_topic(DEAD_LETTER_GROUP), dead_letter_id.encode(), value or event.value, headers
        )
    finally:
        await producer.close()
    return dead_letter_id
