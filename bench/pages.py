"""Row: the portal's list page at the rate that a city needs, each time for another person."""

from bench.endpoints import EACH
from bench.processes import measured
from bench.samples import KIND, documents
from bench.stack import Stack
from bench.table import Row
from bench.wire import request
from kit.core.clock import SystemClock
from kit.redis import RedisServer
from kit.security.encryption import Cipher
from kit.security.tokens import Ended
from kit.settings import KeyRing, RedisSettings
from services.portal.client.backend import Backend
from services.portal.client.models import Tokens
from services.portal.session.encrypted_cache import EncryptedCache
from services.portal.session.page_context import COOKIE_NAME
from services.portal.session.sessions import Sessions
from services.records.store import COLLECTION

PEOPLE = 100
PACE = 20.0
SECONDS = 20.0
WARM_UP_SECONDS = 3.0
P50, P99 = 60.0, 200.0


async def rows(stack: Stack) -> list[Row]:
    requests = await page_requests(stack, await people_with_records(stack))
    load = {"port": stack.port("portal"), "ca": stack.file["ca"], "requests": requests, "pace": PACE}
    await measured("bench.load", **load, seconds=WARM_UP_SECONDS)
    found = await measured("bench.load", **load, seconds=SECONDS)
    reached = f"{found['p50_ms']:.0f} / {found['p99_ms']:.0f} ms"
    passed = found["p50_ms"] <= P50 and found["p99_ms"] <= P99
    name = f"the list page of a person with {EACH} records, {PACE:.0f}/s"
    return [Row(name, reached, "–", f"{P50:.0f} / {P99:.0f} ms", reached, passed, {"ours": found})]


async def page_requests(stack: Stack, people: list[str]) -> list[str]:
    """Log the people in; returns a request for the list page of each."""
    cookies = await _logged_in(stack, people)
    return [request("GET", f"/file/{KIND}", cookie=f"{COOKIE_NAME}={cookie}") for cookie in cookies]


async def people_with_records(stack: Stack) -> list[str]:
    """Write the people directly to the database; returns them."""
    made = list(documents(PEOPLE * EACH, each=EACH))
    async with stack.database("records") as database:
        await database[COLLECTION].insert_many(made, ordered=False)
    return sorted({str(one["practitioner_id"]) for one in made})


async def _logged_in(stack: Stack, people: list[str]) -> list[str]:
    """Return the cookies of their browsers."""
    settings = stack.environment("portal-api")
    ring = KeyRing.model_validate_json(f'{{"keys":{settings["SEAL__KEYS"]},"current":"{settings["SEAL__CURRENT"]}"}}')
    async with RedisServer(RedisSettings(url=stack.file["redis"], ca=stack.file["ca"]), "portal") as redis:
        sessions = Sessions(
            EncryptedCache(redis.cache, Cipher(ring)), Backend({}), dict[str, Ended]().get, SystemClock()
        )
        return [await sessions.open("practitioner", person, "某某", _tokens(stack, person)) for person in people]


def _tokens(stack: Stack, person: str) -> Tokens:
    return Tokens(session_id="", access_token=stack.token(person), expires_in=3600, refresh_token="")
