"""Known devices: where a person logged in before they have codes, tries and sends of their own (decision 0052).

A device token gives these and nothing else: who has one still needs the code on the phone.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from kit.core.clock import Clock
from kit.core.ids import derived_id
from kit.mongo import Conflict, Duplicate, retry_on_conflict
from kit.security.encryption import keyed_hash
from services.identity.certificates.domain import Certificate
from services.identity.login.domain import Device
from services.identity.store import MAX_DEVICES, Store

TOKEN_BYTES = 32


@dataclass(frozen=True)
class RememberedDevice:
    """What the device has to show the next time, and the id under which the person is known there."""

    token: str
    id: str


class Devices:
    """Each device has one token; each person who logged in on it has one document."""

    def __init__(self, store: Store, key: bytes, days: int, clock: Clock) -> None:
        self._store = store
        self._key = key
        self._lasts = timedelta(days=days)
        self._clock = clock

    async def seen(self, token: str | None) -> list[Device]:
        """Who is known on the device with this token: one question, whoever is asked about afterwards."""
        return await self._store.devices_with(self._hash(token), self._clock.now()) if token else []

    async def remember(self, token: str | None, certificate: Certificate) -> RememberedDevice:
        """The person has logged in there. A token that is none of ours is replaced by one that nobody can know."""
        before = None
        if token is not None and await self._goes_on(token, certificate):
            before = await self._store.devices.get(self._id(token, certificate.practitioner_id))
        else:
            token = secrets.token_urlsafe(TOKEN_BYTES)
        await self._keep(token, certificate, before)
        for old in (await self._store.devices_of(certificate.practitioner_id, self._clock.now()))[MAX_DEVICES:]:
            await self.forget(old.id)
        return RememberedDevice(token, self._id(token, certificate.practitioner_id))

    async def _goes_on(self, token: str, certificate: Certificate) -> bool:
        """Whether the device keeps its token: people are known by it, and this one is among them or never was."""
        devices = await self.seen(token)
        if known(devices, certificate):
            return True
        return bool(devices) and await self._store.devices.get(self._id(token, certificate.practitioner_id)) is None

    async def _keep(self, token: str, certificate: Certificate, before: Device | None) -> None:
        person, now = certificate.practitioner_id, self._clock.now()
        identity = self._id(token, person)
        bound_to = _bound(certificate)
        expires = now + self._lasts
        try:
            if before:
                await self._store.devices.replace(before.used(bound_to, expires, at=now))
            else:
                token_hash = self._hash(token)
                new = Device.remembered(
                    identity, person, token_hash=token_hash, bound_to=bound_to, expires_at=expires, at=now
                )  # fmt: skip
                await self._store.devices.insert(new)
        except (Conflict, Duplicate):  # two log-ins at once, of the same person on the same device
            return

    async def forget(self, device: str) -> None:
        """The person says that it is not theirs any more."""
        await retry_on_conflict(partial(self._forget, device))  # it may be used this very moment

    async def _forget(self, device: str) -> None:
        found = await self._store.devices.get(device)
        if found and not found.forgotten:
            await self._store.devices.replace(found.disowned(at=self._clock.now()))

    async def forget_all(self, person: str, besides: str | None) -> None:
        """All devices of a person but one."""
        for device in await self._store.devices_of(person, self._clock.now()):
            if device.id != besides:
                await self.forget(device.id)

    def _id(self, token: str, person: str) -> str:
        return derived_id("device", self._hash(token), person)

    def _hash(self, token: str) -> str:
        return keyed_hash(self._key, "device", token)


def known(devices: Iterable[Device], certificate: Certificate) -> str | None:
    """The id of the device, if the person of the certificate logged in there with the phone that they still have."""
    person, bound_to = certificate.practitioner_id, _bound(certificate)
    return next((each.id for each in devices if (each.practitioner_id, each.bound_to) == (person, bound_to)), None)


def _bound(certificate: Certificate) -> str:
    """Another phone or another certificate: no device is known any more."""
    return f"{certificate.certificate_no}:{certificate.phone_index}"
