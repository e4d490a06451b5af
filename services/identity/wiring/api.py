"""The API process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from joserfc.jwk import KeySetSerialization

from kit import mongo
from kit.core.clock import Clock, SystemClock
from kit.formats import tabular
from kit.formats.tabular import Tables
from kit.http.admission import Priority
from kit.http.app import create_app
from kit.imports.routes import ImportDependencies, add_imports
from kit.runtime.health import Check
from kit.runtime.process import Api
from kit.sandbox.pool import Sandbox
from kit.security.tokens import TokenVerifier
from services.identity.accounts import api as accounts_api
from services.identity.accounts.command_events import CommandEvents
from services.identity.api import router
from services.identity.approvals import api as approvals_api
from services.identity.captcha import api as captcha_api
from services.identity.certificates import api as certificates_api
from services.identity.erasures import api as erasures_api
from services.identity.login import api as login_api
from services.identity.practitioners import api as practitioners_api
from services.identity.practitioners.imports import KIND, PractitionerImport
from services.identity.settings import Settings
from services.identity.wiring import NAME
from services.identity.wiring.shared import open_dependencies

ROUTERS = (
    captcha_api.router, login_api.router, practitioners_api.router, accounts_api.router, erasures_api.router,
    certificates_api.router, approvals_api.router,
)  # fmt: skip

PRIORITIES = {
    "/api/identity/captchas": Priority.SHEDDABLE,
    "/api/identity/staff/": Priority.OPERATOR, "/api/identity/.well-known/": Priority.OPERATOR,
}  # fmt: skip
"""A new log-in can wait; what staff and the other services need can't."""


@asynccontextmanager
async def api(settings: Settings, clock: Clock = SystemClock()) -> AsyncIterator[Api]:
    """The HTTP API; it verifies tokens with identity's own keys."""
    async with open_dependencies(settings, clock) as opened, Sandbox(limits=tabular.LIMITS) as sandbox:

        async def own_keys() -> KeySetSerialization:
            return opened.services.issuer.public_keys()

        verifier = TokenVerifier(own_keys, settings.tokens, opened.services.clock, opened.ended.get)
        app = create_app(NAME, "身份与登录", settings, verifier, router, opened.services)
        for each in ROUTERS:
            app.include_router(each)
        columns = {KIND: PractitionerImport.columns}
        dependencies = ImportDependencies(columns, "", opened.imports, opened.import_files, Tables(sandbox), clock)
        app.state.priorities |= PRIORITIES
        add_imports(app, f"/api/{NAME}", dependencies)
        ping = partial(mongo.ping, opened.database)
        indexes = {
            "indexes": opened.store.prepare,
            "indexes of the access log": opened.audit.prepare,
            "indexes of imports": opened.imports.prepare,
        }
        servers: dict[str, Check] = {"mongo": ping, "redis": opened.redis.cache.ping, "bucket": opened.bucket.prepare}
        yield Api(
            app,
            servers | indexes,
            [opened.ended.follow, opened.services.sessions.republish_ended, CommandEvents(opened.database).run],
        )
