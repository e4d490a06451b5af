"""An API client with import rights does not overwrite another register's rows, nor write in its name."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from kit.security.tokens import TokenIssuer
from services.records.settings import SourceGrant
from tests.support.identity_clients import Window
from tests.support.imports import Sender, as_csv, counts, registration
from tests.support.names import own_name
from tests.support.processes import Processes

NewSender = Callable[..., Sender]


@pytest.fixture
def new_sender(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> NewSender:
    return lambda **changes: Sender(gateway, issuer, **changes)


async def test_a_row_belongs_to_the_client_that_sent_it_first(new_sender: NewSender, window: Window) -> None:
    citizen, register, stranger = await window.registered(), new_sender(), new_sender()
    row = registration(citizen.number, own_name("k"), 来源=own_name("系统"))
    forged = row | {"注册类别": "二级注册建造师"}
    assert counts((await register.done("registration", as_csv([row])))[0]) == {"created": 1}
    progress, errors = await stranger.done("registration", as_csv([forged]))
    assert (counts(progress), [error["代码"] for error in errors]) == ({"failed": 1}, ["other_client"])
    own = forged | {"来源编号": own_name("k")}
    assert counts((await stranger.done("registration", as_csv([own])))[0]) == {"created": 1}
    admin = new_sender(roles=frozenset({"admin"}), scopes=frozenset())
    assert counts((await admin.done("registration", as_csv([forged])))[0]) == {"updated": 1}
    assert counts((await register.done("registration", as_csv([row])))[0]) == {"updated": 1}, "it stays the register's"


async def test_a_source_that_is_granted_belongs_to_its_clients(
    new_sender: NewSender, window: Window, processes: Processes, tmp_path: Path
) -> None:
    citizen, system, register, stranger = await window.registered(), own_name("系统"), new_sender(), new_sender()
    grant = SourceGrant(clients=[register.name], kinds=["registration"]).model_dump()
    row = registration(citizen.number, own_name("k"), 来源=system)
    granted = {"SOURCES": json.dumps({system: grant})}
    async with (
        processes.down("records-worker"),
        processes.standby("records-worker", "granted", tmp_path / "log", **granted),
    ):
        for sender, changes, outcome in (
            (stranger, {}, "failed"),
            (register, {}, "created"),
            (register, {"来源": own_name("系统")}, "failed"),
        ):
            progress, _ = await sender.done("registration", as_csv([row | changes]))
            assert counts(progress) == {outcome: 1}
