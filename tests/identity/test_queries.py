"""The queries of each log-in use an index: a day of a city is a million codes."""

from kit import mongo
from services.identity.store import CHALLENGES, LAST_CHALLENGE, of_person
from tests.support.names import own_id
from tests.support.stack import RunningStack


async def test_the_last_code_of_a_person_is_found_by_an_index(stack: RunningStack) -> None:
    question = {"find": CHALLENGES, "filter": of_person(own_id(), "login", None), "sort": dict(LAST_CHALLENGE)}
    async with mongo.connect(stack.mongo, "identity") as database:
        plan = await database.command({"explain": question, "verbosity": "queryPlanner"})
    text = str(plan["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in text
    assert "COLLSCAN" not in text
