"""The person that a clerk attends to. The access reason is asked once per session, and sent with every read."""

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
from services.portal.session.page_context import PageContext, Redirect, staff_with
from services.portal.session.sessions import cookie_hash

KEPT_SECONDS = 12 * 3600
"""Longer than a working day, and so than a session of a clerk."""
REASONS = (
    "办理登记或重新读卡", "办理个人数字证书", "协助本人核对、维护信息", "答复本人咨询", "复核更换手机号码的申请",
    "处理本人提出的异议",
)  # fmt: skip
OTHER = "other"
ClerkDep = Annotated[PageContext, Depends(staff_with("clerk"))]
"""A clerk, or an admin."""


@dataclass(frozen=True)
class AttendedPerson:
    """A person at the window, and the clerk's access reason."""

    context: PageContext
    id: str
    reason: str
    name: str = ""

    @property
    def path(self) -> str:
        """The path of their first page."""
        return f"/staff/people/{self.id}"

    @property
    def caller(self) -> CallerContext:
        """The clerk, with the access reason."""
        return replace(self.context.caller, reason=self.reason)

    @property
    def client(self) -> PractitionerClient:
        """Calls to the services about this person; each is logged as an access."""
        return PractitionerClient(self.context.portal.backend, self.caller, self.id)


async def attend(context: PageContext, person: str, reason: str) -> None:
    """Keep the reason for this session, with the person's name. Raises `Refused` 404 for an unknown id."""
    basic = await AttendedPerson(context, person, reason).client.basic()
    value = json.dumps({"reason": reason, "name": basic.name})
    await context.portal.cache.put(_key(context, person), value, KEPT_SECONDS)


async def attended(context: ClerkDep, person: Id) -> AttendedPerson:
    """The person in the path. Raises `Redirect` to the form for a reason if there is none yet."""
    cached = await context.portal.cache.get(_key(context, person))
    if cached is None:
        raise Redirect(f"/staff/people/{person}/reason?next={quote(context.return_path)}")
    return AttendedPerson(context, person, **json.loads(cached.text))


AttendedDep = Annotated[AttendedPerson, Depends(attended)]


def _key(context: PageContext, person: str) -> str:
    return f"attending:{cookie_hash(context.cookie)}:{person}"


def chosen_reason(form: dict[str, str]) -> str:
    """The reason of a form: one of `REASONS`, the clerk's own words, or both. Raises 422 if there is none."""
    choice, words = form.get("reason", ""), form.get("words", "").strip()
    if choice not in (*REASONS, OTHER):
        raise InvalidFields.one("reason", "required", "请选择查看原因")
    if choice == OTHER and not words:
        raise InvalidFields.one("words", "required", REQUIRED)
    parts = [text for text in (choice, words) if text not in (OTHER, "")]
    try:
        return read_reason(quote("：".join(parts)))
    except InvalidFields as error:
        raise InvalidFields.one("words", error.fields[0].code, error.fields[0].message) from error
