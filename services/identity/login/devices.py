"""Known devices: browsers where a person logged in before have codes and limits of their own (decision 0052).

A device token gives nothing else: log-in there still needs the code sent to the phone.
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
    """The token that the device sends at the next log-in, and the id of its document."""

    token: str
    id: str


class Devices:
    """Stores known devices: one token per device, one document per person who logged in on it."""

    def __init__(self, store: Store, key: bytes, days: int, clock: Clock) -> None:
        self._store = store
        self._key = key
        self._lifetime = timedelta(days=days)
        self._clock = clock

    async def with_token(self, token: str | None) -> list[Device]:
        """The documents of all people known on the device with this token; `known_device` picks one person's."""
        return await self._store.devices_with(self._hash(token), self._clock.now()) if token else []

    async def remember(self, token: str | None, certificate: Certificate) -> RememberedDevice:
        """Store that the person logged in on the device. An unknown or forgotten token is replaced by a random one."""
        stored = None
        if token is not None and await self._stays_valid(token, certificate):
            stored = await self._store.devices.get(self._id(token, certificate.practitioner_id))
        else:
            token = secrets.token_urlsafe(TOKEN_BYTES)
        await self._save(token, certificate, stored)
        for old in (await self._store.devices_of(certificate.practitioner_id, self._clock.now()))[MAX_DEVICES:]:
            await self.forget(old.id)
        return RememberedDevice(token, self._id(token, certificate.practitioner_id))

    async def _stays_valid(self, token: str, certificate: Certificate) -> bool:
        """Whether the device keeps its token: somebody is known by it, and this person is, or never was before."""
        devices = await self.with_token(token)
        if known_device(devices, certificate):
            return True
        return bool(devices) and await self._store.devices.get(self._id(token, certificate.practitioner_id)) is None

    async def _save(self, token: str, certificate: Certificate, stored: Device | None) -> None:
        person, now = certificate.practitioner_id, self._clock.now()
        device_id = self._id(token, person)
        bound_to = _bound_to(certificate)
        expires = now + self._lifetime
        try:
            if stored:
                await self._store.devices.replace(stored.used(bound_to, expires, at=now))
            else:
                token_hash = self._hash(token)
                new = Device.remembered(
                    device_id, person, token_hash=token_hash, bound_to=bound_to, expires_at=expires, at=now
                )  # fmt: skip
                await self._store.devices.insert(new)
        except (Conflict, Duplicate):  # a concurrent log-in of the same person on the same device stored it
            return

    async def forget(self, device: str) -> None:
        """Mark a device as no longer the person's."""
        await retry_on_conflict(partial(self._forget, device))  # it may be used at the same time

    async def _forget(self, device: str) -> None:
        found = await self._store.devices.get(device)
        if found and not found.forgotten:
            await self._store.devices.replace(found.marked_forgotten(at=self._clock.now()))

    async def forget_all(self, person: str, except_id: str | None) -> None:
        """Forget all known devices of a person but one."""
        for device in await self._store.devices_of(person, self._clock.now()):
            if device.id != except_id:
                await self.forget(device.id)

    def _id(self, token: str, person: str) -> str:
        return derived_id("device", self._hash(token), person)

    def _hash(self, token: str) -> str:
        return keyed_hash(self._key, "device", token)


def known_device(devices: Iterable[Device], certificate: Certificate) -> str | None:
    """The id of the device on which the certificate's person is known with the current phone, if there is one."""
    person, bound_to = certificate.practitioner_id, _bound_to(certificate)
    return next((each.id for each in devices if (each.practitioner_id, each.bound_to) == (person, bound_to)), None)


def _bound_to(certificate: Certificate) -> str:
    """What a known device is bound to; when the phone or the certificate changes, no device is known any more."""
    return f"{certificate.certificate_no}:{certificate.phone_index}"
