"""The objects that the API, the worker and the commands share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from joserfc.jwk import OKPKey

from contracts.access import READERS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.files import blobs
from kit.files.blobs import Bucket
from kit.formats.images import Images
from kit.imports.model import ImportFiles, Imports
from kit.mongo import Database
from kit.privacy.access_audit import AccessAudit
from kit.privacy.action_audit import ActionAudit
from kit.redis import RedisServer
from kit.sandbox.pool import Sandbox
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from kit.security.passkeys import RelyingParty
from kit.security.tokens import TokenIssuer
from services.identity.accounts.passkeys import Passkeys
from services.identity.accounts.passwords import Passwords
from services.identity.accounts.service import AccountService
from services.identity.accounts.staff import ISSUER, StaffAccounts
from services.identity.approvals.service import Approvals
from services.identity.captcha.service import Captchas
from services.identity.certificates.phones import Phones
from services.identity.certificates.rebindings import Rebindings
from services.identity.certificates.service import Certificates
from services.identity.erasures.eraser import Eraser
from services.identity.erasures.service import Erasures
from services.identity.keys import Keys
from services.identity.login.codes import Codes
from services.identity.login.devices import Devices
from services.identity.login.proofs import Proofs
from services.identity.login.service import LoginService
from services.identity.login.sessions import Sessions
from services.identity.practitioners.access_log import AccessLog
from services.identity.practitioners.lookups import Lookups
from services.identity.practitioners.portraits import Portraits
from services.identity.practitioners.service import PractitionerService
from services.identity.service import UseCases
from services.identity.settings import Settings
from services.identity.store import Store
from services.identity.throttle import LoginDelays, Throttle
from services.identity.wiring import NAME


@dataclass(frozen=True)
class Dependencies:
    """The objects that a process of identity uses while it runs."""

    database: Database
    redis: RedisServer
    bucket: Bucket
    store: Store
    audit: AccessAudit
    imports: Imports
    import_files: ImportFiles
    ended: EndedSessions
    eraser: Eraser
    services: UseCases


@asynccontextmanager
async def open_dependencies(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Dependencies]:
    """Connect to MongoDB, Redis and S3, start the sandbox, and create the services."""
    keys = Keys(Cipher(settings.seal), Cipher(settings.bus), settings.seal.index_key)
    signing = [OKPKey.import_key(dict(key)) for key in settings.signing.keys]
    async with (
        mongo.connect(settings.mongo, NAME) as database,
        RedisServer(settings.redis, NAME) as redis,
        blobs.connect(settings.blobs) as bucket,
        Sandbox() as sandbox,
    ):
        store = Store(database)
        issuer = TokenIssuer(signing, settings.tokens, clock, settings.signing.access_seconds)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        devices = Devices(store, settings.codes.hmac_key, settings.sessions.device_days, clock)
        sessions = Sessions(
            store, issuer, ended, settings.sessions, settings.tokens.fresh_seconds, settings.codes.hmac_key, clock,
            devices,
        )  # fmt: skip
        audit = AccessAudit(database, clock, READERS)
        throttle = Throttle(redis.limits, settings.limits)
        captchas = Captchas(redis.cache, settings.captchas, clock)
        codes = Codes(store, keys, throttle, settings.codes, clock)
        login = LoginService(store, keys, captchas, codes, sessions, devices, throttle)
        delays, passwords = LoginDelays(redis.cache, clock), Passwords()
        accounts = AccountService(
            store, keys.rest, sessions, issuer, passwords, throttle, delays, settings.codes.hmac_key, clock
        )  # fmt: skip
        staff = StaffAccounts(store, keys.rest, sessions, passwords, accounts.authenticate, clock)
        passkeys = Passkeys(
            store, RelyingParty(settings.passkeys.site, ISSUER), redis.cache, staff, sessions, throttle, delays, clock,
            settings.passkeys.lifetime_seconds,
        )  # fmt: skip
        approvals = Approvals(store, staff, settings.approvals, clock)
        portraits = Portraits(bucket, Images(sandbox), keys.rest)
        lookups = Lookups(store, keys, audit, ActionAudit(database, clock), throttle, settings.own_clients)
        practitioners = PractitionerService(store, keys, portraits, audit, lookups, clock)
        accesses = AccessLog(store, audit)
        proofs = Proofs(store, keys, codes, sessions, throttle)
        phones = Phones(store, keys, audit)
        rebindings = Rebindings(store, phones, audit, sessions, throttle, settings.rebinding, clock)
        certificates = Certificates(store, phones, codes, rebindings, audit, sessions, throttle, clock)
        erasures = Erasures(store, audit, settings.erasures, clock)
        eraser = Eraser(store, keys, sessions, settings.erasures, clock)
        services = UseCases(
            practitioners, lookups, certificates, rebindings, codes, captchas, login, sessions, proofs, accounts, staff,
            passkeys, approvals,            accesses, erasures, throttle, issuer, clock,
        )  # fmt: skip
        imports, import_files = Imports(database), ImportFiles(bucket, keys.rest)
        yield Dependencies(database, redis, bucket, store, audit, imports, import_files, ended, eraser, services)
