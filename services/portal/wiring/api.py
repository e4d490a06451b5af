"""The api process: the portal's pages, with the implementations they use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.quotas import QUOTAS
from contracts.sessions import ENDED_SESSIONS, SENTENCES
from kit.core.clock import SystemClock
from kit.formats.pdf import Printer
from kit.http.admission import Priority
from kit.http.pages import StaticFiles, Templates, create_app
from kit.http.quotas import Quotas
from kit.redis import Pace, RedisServer
from kit.runtime.process import Api
from kit.security import security_events
from kit.security.encryption import Cipher
from kit.security.ended_sessions import EndedSessions
from services.portal import wording
from services.portal.client.backend import Backend
from services.portal.client.catalogue import Catalogue
from services.portal.operations.dead_letters import DeadLetters
from services.portal.operations.monitor import Monitor
from services.portal.pages import site
from services.portal.pages.dossier import account, disputes, home, records, scans, signature
from services.portal.pages.errors import render_error
from services.portal.pages.operations import approvals, dashboard, messages
from services.portal.pages.session import login, passkeys, proof, staff
from services.portal.pages.window import certificate, person, rebindings, registration, search
from services.portal.pages.window import disputes as window_disputes
from services.portal.session.encrypted_cache import EncryptedCache
from services.portal.session.page_context import Portal
from services.portal.session.sessions import Sessions
from services.portal.session.waiting_room import WaitingRoom
from services.portal.settings import Settings, WaitingRoomSettings
from services.portal.wiring import NAME

ROUTERS = (
    login.router, records.router, scans.router, disputes.router, signature.router, account.router, proof.router,
    home.router, site.router, staff.router, passkeys.router, search.router, registration.router, person.router,
    certificate.router, rebindings.router, window_disputes.router, approvals.router, messages.router, dashboard.router,
)  # fmt: skip

PRIORITIES = {
    "/staff": Priority.OPERATOR, "/staff/": Priority.OPERATOR,
    "/operators": Priority.OPERATOR, "/operators/": Priority.OPERATOR,
}  # fmt: skip
"""The page to log in is a normal one, although a log-in can wait: it is the waiting room, too, which costs little."""
HERE = Path(__file__).parents[1]


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The pages."""
    clock = SystemClock()
    cipher = Cipher(settings.seal)
    static = StaticFiles(HERE / "static", "/static")
    names = {"static": static.address, "windows": settings.windows, **wording.NAMES}
    templates = Templates(HERE / "templates", names, wording.FILTERS)
    printer = Printer(HERE / "print" / "dossier.typ", settings.fonts)
    async with (
        RedisServer(settings.redis, NAME) as redis,
        Backend.opened(settings.services, settings.tls.ca) as backend,
    ):
        cache = EncryptedCache(redis.cache, cipher)
        ended = EndedSessions(redis, ENDED_SESSIONS, SENTENCES, clock)
        sessions = Sessions(cache, backend, ended.get, clock)
        catalogue = Catalogue(backend, clock)
        monitor = Monitor(settings.processes, settings.tls.ca, clock)
        portal = Portal(
            backend=backend, sessions=sessions, cache=cache, catalogue=catalogue, templates=templates,
            static=static, printer=printer, cipher=cipher, clock=clock, draft_seconds=settings.sessions.draft_seconds,
            monitor=monitor, dead_letters=DeadLetters(settings.kafka, clock), reader_origin=settings.reader_origin,
            waiting_room=_waiting_room(settings.waiting_room, redis), fresh_seconds=settings.sessions.fresh_seconds,
            quotas=Quotas(redis.limits, settings.quotas, QUOTAS),
        )  # fmt: skip
        security_events.initialise("form_expired")
        overloaded = templates.render("overloaded.html", {})
        app = create_app("从业人员自助服务", settings, ROUTERS, portal, render_error, overloaded)
        app.state.priorities |= PRIORITIES
        yield Api(app, {"redis": redis.cache.ping, "fonts": printer.ready}, [monitor.run, ended.follow])


def _waiting_room(settings: WaitingRoomSettings, redis: RedisServer) -> WaitingRoom:
    pace = Pace(settings.start, settings.least, settings.most)
    return WaitingRoom(redis.line("login", pace, settings.place_seconds))
