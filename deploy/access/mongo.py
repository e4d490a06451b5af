"""MongoDB: the replica set, a role and a user of the same name for each principal."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import stamina
from pymongo.errors import OperationFailure

from deploy.access.principals import PATIENCE_SECONDS, SERVICES, Principal, principals
from kit import mongo
from kit.core.errors import Unavailable
from kit.mongo import Database, translate_errors
from kit.settings import MongoSettings

TIMEOUT_MS = 30_000
_ELECTION = {"electionTimeoutMillis": 5_000}
"""A primary that is lost is replaced after half of the time of MongoDB's default (docs/reliability.md)."""
UNAUTHORIZED, USER_EXISTS = 13, 51003
ROLE = "practitioner-portal."
"""Before a principal's name: MongoDB has roles of its own called `backup` and `restore`."""


@stamina.retry(on=Unavailable, timeout=PATIENCE_SECONDS, attempts=None)
async def initiate(settings: MongoSettings, members: Sequence[str], user: str, password: str) -> None:
    """Initiate a replica set and create the first user. Idempotent.

    `settings` connects to mongod's own localhost without a user: an empty server permits that, until it has a user.
    """
    async with _connect(settings) as database:
        admin = database.client["admin"]
        hello = await _command(admin, {"hello": 1})
        if "setName" not in hello:
            planned = [{"_id": number, "host": member} for number, member in enumerate(members)]
            await _command(admin, {"replSetInitiate": {"_id": "rs0", "members": planned, "settings": _ELECTION}})
        await _primary(admin)
        try:
            await _command(admin, {"createUser": user, "pwd": password, "roles": ["root"]})
        except OperationFailure as error:  # there is a user already
            if error.code not in (UNAUTHORIZED, USER_EXISTS):
                raise


async def _primary(admin: Database) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await _command(admin, {"hello": 1}))["isWritablePrimary"]:  # noqa: ASYNC110  # polls a server
            await asyncio.sleep(0.2)


@stamina.retry(on=Unavailable, timeout=PATIENCE_SECONDS, attempts=None)
async def apply(settings: MongoSettings, passwords: Mapping[str, str]) -> None:
    """Create or change every principal's role and user, and remove those that the plan no longer has."""
    planned = {name: each for name, each in principals().items() if each.mongo or each.cluster}
    async with _connect(settings) as database:
        admin = database.client["admin"]
        users = {each["user"] for each in (await _command(admin, {"usersInfo": 1}))["users"]}
        roles = {each["role"] for each in (await _command(admin, {"rolesInfo": 1}))["roles"]}
        for name, principal in planned.items():
            role = f"{ROLE}{name}"
            change = "updateRole" if role in roles else "createRole"
            await _command(admin, {change: role, "privileges": privileges(principal), "roles": []})
            change = "updateUser" if name in users else "createUser"
            await _command(admin, {change: name, "pwd": passwords[name], "roles": [role]})
        for role in roles:
            name = role.removeprefix(ROLE)
            if name not in planned and (
                role != name or name in SERVICES
            ):  # a release before had a role for each service
                await _command(admin, {"dropRole": role})
                if name in users:
                    await _command(admin, {"dropUser": name})


def privileges(principal: Principal) -> list[dict[str, Any]]:
    """The privileges of a principal's role."""
    data = [
        {"resource": {"db": grant.database, "collection": grant.collection}, "actions": list(grant.actions)}
        for grant in principal.mongo
    ]
    cluster = [{"resource": {"cluster": True}, "actions": list(principal.cluster)}] if principal.cluster else []
    return [*data, *cluster]


def _connect(settings: MongoSettings) -> AbstractAsyncContextManager[Database]:
    """A server that has just started is slow."""
    return mongo.connect(settings.model_copy(update={"timeout_ms": TIMEOUT_MS}), "access")


async def _command(admin: Database, command: Mapping[str, object]) -> dict[str, Any]:
    with translate_errors():
        return await admin.command(dict(command))
