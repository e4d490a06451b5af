"""A client whose webhook an operator stopped does not start it again."""

import httpx2

from kit.auth import Caller, TokenIssuer
from tests.support.following import WEBHOOKS, Client
from tests.support.names import own_id
from tests.support.problems import problem
from tests.support.visits import bearer


async def test_the_operators_stop_wins(gateway: httpx2.AsyncClient, issuer: TokenIssuer) -> None:
    client = Client(gateway, issuer)
    operator = bearer(issuer.issue(Caller(own_id(), "staff", frozenset({"operator"}))))
    path = f"{WEBHOOKS}/{(await client.registered('http://127.0.0.1:9/'))['webhook_id']}"
    assert (await client.call("POST", f"{path}/pause")).json()["reason"] == "owner"
    assert (await gateway.post(f"{path}/pause", headers=operator)).json()["reason"] == "operator"
    problem(await client.call("POST", f"{path}/resume"), 409, "paused_by_operator")
    assert (await client.call("POST", f"{path}/pause")).json()["reason"] == "operator"
    now = (await client.call("GET", path)).json()
    change = {"If-Match": f'"{now["version"]}"'}
    changed = (await client.call("PUT", path, json={"url": "http://127.0.0.1:9/b"}, headers=change)).json()
    assert (changed["state"], changed["reason"]) == ("paused", "operator")
    assert (await gateway.post(f"{path}/resume", headers=operator)).json()["state"] == "active"
    await client.forget()
