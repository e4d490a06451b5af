"""Dead letters laid where a real group's lie, for operators to find."""

from datetime import UTC, datetime

from contracts.records import AccessLogged
from kit.core.events import NewEvent, encode
from kit.kafka import Producer
from kit.kafka.dead_letters import dead_letter_topic
from tests.support.names import own_id
from tests.support.stack import RunningStack

LETTER_GROUP = "identity.access"
REASON = "窗口咨询"


async def lay_letter(stack: RunningStack, cause: str, person: str = "", value: bytes | None = None) -> str:
    """A look at this person that identity could not keep, or what stands in `value`. Returns the letter's id."""
    look = {
        "practitioner_id": person or own_id(), "version": 1, "action": "looked", "changed": [], "at": datetime.now(UTC),
        "access_id": own_id(), "who": own_id(), "role": "clerk", "what": "records", "document_id": own_id(),
        "reason": REASON,
    }  # fmt: skip
    event = encode(NewEvent(AccessLogged, look), "/test", 1)
    letter = f"{event.topic}/0/{own_id()}"
    facts = {"group": LETTER_GROUP, "cause": cause, "topic": event.topic, "partition": "0", "offset": "0"}
    dead = [(f"dead_{name}", text.encode()) for name, text in facts.items()]
    producer = Producer(stack.kafka_settings())
    await producer.start()
    try:
        headers = [*event.headers, *dead, ("dead_key", event.key)]
        await producer.send(dead_letter_topic(LETTER_GROUP), letter.encode(), value or event.value, headers)
    finally:
        await producer.close()
    return letter
