"""Kafka: a SCRAM user and entries of the access control lists for each principal, and for each subscriber."""

import re
import secrets
from collections.abc import Mapping, Sequence

import stamina

from deploy.access.principals import EVERY, PATIENCE_SECONDS, SERVICES, declared_topics, principals
from kit.core.errors import Unavailable
from kit.kafka.access import Entry, Grant, access, entries_of
from kit.settings import KafkaSettings

SUBSCRIBER = "subscriber-"
NAME = re.compile(r"[a-z][a-z0-9-]{1,40}")
PUBLIC = ".changes"
"""Subscribers get topics of this kind; `.messages` carry requests between services."""


class RefusedGrant(Exception):
    """The name or a topic can't be granted."""


@stamina.retry(on=Unavailable, timeout=PATIENCE_SECONDS, attempts=None)
async def apply(settings: KafkaSettings, passwords: Mapping[str, str]) -> tuple[int, int]:
    """Create the users, set their passwords and make the plan the only entries. Returns entries added and removed.

    Removed are entries of the plan's users that are no longer granted, and others that name one of our topics, groups
    or transactional ids; those of subscribers stay, and those of other applications on the same cluster.
    """
    planned = {name: principal.kafka for name, principal in principals().items() if principal.kafka}
    wanted = entries_of(planned.items())
    ours = {(entry.resource, entry.name) for entry in wanted if entry.name != EVERY}

    def managed(entry: Entry) -> bool:
        of_ours = (entry.resource, entry.name) in ours and not entry.user.startswith(SUBSCRIBER)
        return of_ours or entry.user in principals()

    async with access(settings) as opened:
        for name in planned:
            await opened.set_password(name, passwords[name])
        return await opened.replace(wanted, managed)


@stamina.retry(on=Unavailable, timeout=PATIENCE_SECONDS, attempts=None)
async def grant_subscriber(settings: KafkaSettings, name: str, topics: Sequence[str], password: str = "") -> str:
    """Create or change the user `subscriber-<name>`: it reads these topics, in groups that begin with `<name>.`.

    Returns the new password. Raises `RefusedGrant`.
    """
    user, chosen = _user(name), password or secrets.token_urlsafe(24)
    public = {topic.name for topic in declared_topics() if topic.name.endswith(PUBLIC)}
    if not topics or set(topics) - public:
        raise RefusedGrant(f"topics for subscribers are {', '.join(sorted(public))}")
    grants = [Grant("topic", topic, "read") for topic in topics] + [Grant("group", f"{name}.", "read", prefixed=True)]
    async with access(settings) as opened:
        await opened.set_password(user, chosen)
        await opened.replace(entries_of([(user, grants)]), lambda entry: entry.user == user)
    return chosen


@stamina.retry(on=Unavailable, timeout=PATIENCE_SECONDS, attempts=None)
async def revoke_subscriber(settings: KafkaSettings, name: str) -> bool:
    """Remove a subscriber's entries and make its password invalid; False if it has no entry.

    Open connections are refused at once. The user stays, without rights: see `Access.set_password`.
    """
    user = _user(name)
    async with access(settings) as opened:
        if all(entry.user != user for entry in await opened.entries()):
            return False
        await opened.set_password(user, secrets.token_urlsafe(24))
        await opened.replace((), lambda entry: entry.user == user)
        return True


async def subscribers(settings: KafkaSettings) -> dict[str, list[str]]:
    """The topics of each subscriber, by name."""
    found: dict[str, list[str]] = {}
    async with access(settings) as opened:
        for entry in await opened.entries():
            if entry.user.startswith(SUBSCRIBER):
                topics = found.setdefault(entry.user.removeprefix(SUBSCRIBER), [])
                topics += [entry.name] if entry.name.endswith(PUBLIC) else []
    return {name: sorted(topics) for name, topics in sorted(found.items())}


def _user(name: str) -> str:
    """The user of a subscriber, whose groups must not be those of a service."""
    if not NAME.fullmatch(name) or name in SERVICES:
        raise RefusedGrant("a name has small letters, digits and hyphens, and is not that of a service")
    return f"{SUBSCRIBER}{name}"
