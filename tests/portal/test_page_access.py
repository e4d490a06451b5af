"""docs/security/pages.md is true: every page of the portal is requested by every kind of visitor."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from starlette.routing import Route

from services.identity.accounts.staff import ROLES
from services.portal.wiring.api import ROUTERS
from tests.support.browsing import Browsing
from tests.support.events import SecurityLog
from tests.support.matrix import outcome, same_as_the_page, table
from tests.support.names import own_id
from tests.support.people import EDUCATION
from tests.support.portal import Member, NewMember
from tests.support.scans import scan
from tests.support.stack import RunningStack
from tests.support.staffing import Desk

COLUMNS = ("page", "nobody", "person", "another's", "staff")
HEAD = """# Who may see which page

Every page of the portal, and every kind of visitor. Written by the test `tests/portal/test_page_access.py`, which
asks for each of them: `WRITE=1 make test a=tests/portal/test_page_access.py`. A form is accepted only with the CSRF
token of its page, which is made for one person, so a visitor who may not see a page can't send its form. A page calls
the API with the visitor's own token: [authorization.md](authorization.md).

`✓`: shown, or redirected to a step that is required first (a code, a reason). `log in`: redirected to the log-in.
"""
PUBLIC = {"/static/{name}", "/login/captchas/{captcha_id}/audio"}
CHOICES = {
    "name": "education", "which": "image", "document_type": "resident_id", "action": "issue",
    "group": "notify.requests",
}  # fmt: skip


def pages() -> list[str]:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    return sorted({route.path for route in routes if "GET" in (route.methods or ())} - PUBLIC)


async def own(member: Member) -> dict[str, str]:
    """The path parameters for this person's objects."""
    record = await member.add("education", EDUCATION)
    upload: dict[str, Any] = {"files": {"file": ("scan.jpg", scan(73), "image/jpeg")}, "data": {"title": "扫描件"}}
    sent = await member.file.call("POST", f"/api/attachments/records/{record}/attachment", **upload)
    form = await member.file.call("POST", "/api/signature/practitioners/me/forms")
    photo: dict[str, Any] = {"files": {"file": ("photo.jpg", scan(200), "image/jpeg")}}
    corrected = await member.file.call("POST", "/api/attachments/corrections", **photo)
    made = {"attachment_id": sent.json()["attachment_id"], "form_id": form.json()["form_id"]}
    made["correction_id"] = corrected.json()["correction_id"]
    return {"person": member.citizen.id, "record_id": record, **made, **CHOICES}


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda hole: ids.get(hole[1]) or own_id(), path)


async def visitors(
    path: str, mine: Member, ids: dict[str, str], desks: dict[str, Browsing]
) -> AsyncIterator[tuple[str, str, Browsing, str]]:
    """The column, the role, the browser, and the requested path."""
    yield "nobody", "", Browsing(mine.browsing.http), filled(path, ids)
    yield "person", "", mine.browsing, filled(path, ids)
    for role, desk in desks.items():
        yield "staff", role, desk, filled(path, ids)


async def test_the_documentation_of_page_access_is_true(
    new_member: NewMember, desk_of: Desk, gateway: httpx2.AsyncClient, stack: RunningStack
) -> None:
    mine, other = await new_member(), await new_member()
    ids, theirs = await own(mine), await own(other)
    desks = {role: await desk_of(*({role} - {""})) for role in ("", *ROLES)}
    asked: dict[str, tuple[str, str, str, httpx2.Response]] = {}
    for path in pages():
        tries = [each async for each in visitors(path, mine, ids, desks)]
        if set(re.findall(r"{(\w+)}", path)) & theirs.keys() - CHOICES.keys():
            tries.append(("another's", "", mine.browsing, filled(path, theirs)))
        for column, role, browsing, where in tries:
            request = own_id()
            asked[request] = path, column, role, await browsing.ask("GET", where, headers={"X-Request-Id": request})
    found = await SecurityLog(stack, gateway).of(asked)
    rows: dict[str, dict[tuple[str, str], str]] = {path: {} for path in pages()}
    for request, (path, column, role, answer) in asked.items():
        assert answer.status_code < 500, (path, column, role, answer.text)
        away = answer.headers.get("location", "").split("?")[0] in ("/login", "/staff/login")
        rows[path][column, role] = "log in" if away else outcome(answer.status_code, found[request])
    same_as_the_page("security/pages.md", "\n".join([HEAD, *table(COLUMNS, rows)]) + "\n")
