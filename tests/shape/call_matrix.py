"""Who may call what: writes docs/security/authorization.md from the OpenAPI documents and the actual responses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import time

from contracts.scopes import SCOPES
from kit.security.tokens import Caller
from tests.shape.hostile_input import Endpoint
from tests.shape.strangers import Things
from tests.support.matrix import Answers, table
from tests.support.names import own_id

HEAD = """# Who may call what

Every operation of the API, and every kind of caller. Written by the test `tests/shape/test_authorization.py`, which
makes each of these calls and fails if a response differs; after an intended change, let it write the page:
`WRITE=1 make test a=tests/shape/test_authorization.py`.

`✓`: the call is carried out. A number: the status it is refused with. 404 in place of 403 hides whether an object
exists. Staff and clients: the roles and scopes, one of which is needed, and the status for all others; admins have
every role. *Another's* object belongs to another person or API client; `–`: there is none, the call is about the
caller. Delivery receipts of SMS need the carrier's secret in place of a token. In calls that require recent
authentication (`fresh_proof_required`), the person has just proved a code.
"""
FOOT = """
The scopes:

| Scope | Opens |
|---|---|
"""
COLUMNS = ("call", "nobody", "person", "another's", "staff", "client", "another client's")


@dataclass(frozen=True)
class Attempt:
    """One call by one caller: the column, and the caller's name in its cell."""

    column: str
    name: str
    caller: Caller | None


def attempts(endpoint: Endpoint, things: Things, staff: Mapping[str, str]) -> Iterator[Attempt]:
    """One attempt by every kind of caller; `staff`: an account by role. The owner is last: it may delete the object."""
    client = next((things.clients[hole] for hole in endpoint.holes if hole in things.clients), None)
    yield Attempt("nobody", "", None)
    for role, account in staff.items():
        yield Attempt("staff", role, Caller(account, "staff", frozenset({role} - {""}), session=own_id()))
    for scope in ("", *SCOPES):
        scopes = frozenset({scope} - {""})
        if client:
            yield Attempt("another client's", scope, Caller("client-of-nothing", "client", scopes=scopes))
        yield Attempt("client", scope, Caller(client or "client-of-nothing", "client", scopes=scopes))
    if set(endpoint.holes) - set(things.clients):
        yield Attempt("another's", "", _person(own_id()))
    yield Attempt("person", "", _person(things.ids["practitioner_id"]))


def _person(person: str) -> Caller:
    return Caller(person, "practitioner", session=own_id(), auth_time=int(time()))


def page(answers: Mapping[str, Answers], public: list[Endpoint]) -> str:
    """The whole page, from the response to each call."""
    lines = [HEAD, *table(COLUMNS, answers)]
    lines += ["\nOpen to everybody; the body, or an id that can't be guessed, is the proof:\n"]
    lines += [f"- `{each.method} {each.path}`" for each in public]
    return "\n".join(lines) + "\n" + FOOT + "".join(f"| `{name}` | {opens} |\n" for name, opens in SCOPES.items())
