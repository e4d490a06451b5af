"""Whom a clerk attends to, and why: asked once for each person and session, sent along with every look."""

import json
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends

from kit.core.errors import InvalidFields
from kit.core.text import REQUIRED
from kit.http.callers import read_reason
from kit.http.routes import Id
from services.portal.client.backend import CallerContext
from services.portal.client.practitioner import PractitionerClient
from services.portal.session.sessions import cookie_hash
from services.portal.session.visits import PageContext, Redirect, staff_with

KEPT_SECONDS = 12 * 3600
"""No session of a window lasts longer than its day."""
REASONS = (
    "办理登记或重新读卡", "办理个人数字证书", "协助本人核对、维护信息", "答复本人咨询", "复核更换手机号码的申请",
)  # fmt: skip
OTHER = "other"
ClerkDep = Annotated[PageContext, Depends(staff_with("clerk"))]
"""A clerk, or an admin."""


@dataclass(frozen=True)
class AttendedPerson:
    """A person at the window: their file as the clerk may read it, and the reason that is told with every look."""

    visit: PageContext
    id: str
    reason: str
    name: str = ""

    @property
    def path(self) -> str:
        """Their first page."""
        return f"/staff/people/{self.id}"

    @property
    def asker(self) -> CallerContext:
        """The clerk, with the reason."""
        return replace(self.visit.asker, reason=self.reason)

    @property
    def file(self) -> PractitionerClient:
        """What may be read of them; each call is written down as a look."""
        return PractitionerClient(self.visit.portal.backend, self.asker, self.id)


async def attend(visit: PageContext, person: str, reason: str) -> None:
    """Begin: the first look tells the name. Raises `Refused` 404 when there is nobody with this id."""
    basic = await AttendedPerson(visit, person, reason).file.basic()
    kept = json.dumps({"reason": reason, "name": basic.name})
    await visit.portal.vault.put(_key(visit, person), kept, KEPT_SECONDS)


async def attended(visit: ClerkDep, person: Id) -> AttendedPerson:
    """The person of an address. Sends the clerk to tell a reason first, when there is none yet."""
    kept = await visit.portal.vault.get(_key(visit, person))
    if kept is None:
        raise Redirect(f"/staff/people/{person}/reason?next={quote(visit.here)}")
    return AttendedPerson(visit, person, **json.loads(kept.text))


AttendedDep = Annotated[AttendedPerson, Depends(attended)]


def _key(visit: PageContext, person: str) -> str:
    return f"attending:{cookie_hash(visit.cookie)}:{person}"


def chosen_reason(form: dict[str, str]) -> str:
    """The reason of a form: a usual one, the clerk's own words, or both. Raises 422 when there is none."""
    choice, words = form.get("reason", ""), form.get("words", "").strip()
    if choice not in (*REASONS, OTHER):
        raise InvalidFields.one("reason", "required", "请选择查看原因")
    if choice == OTHER and not words:
        raise InvalidFields.one("words", "required", REQUIRED)
    told = [text for text in (choice, words) if text not in (OTHER, "")]
    try:
        return read_reason(quote("：".join(told)))
    except InvalidFields as error:
        raise InvalidFields.one("words", error.fields[0].code, error.fields[0].message) from error
