"""The digital certificate at the window: issued, bound to another phone, revoked; each is confirmed first."""

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.core.text import REQUIRED
from services.portal.client.staff import CertificateAction, StaffCalls
from services.portal.session.forms import code_of, errors_of
from services.portal.session.visits import PageContext
from services.portal.window.attending import AttendedDep, AttendedPerson, ClerkDep

TITLES: dict[CertificateAction, str] = {
    "issue": "申领个人数字证书", "rebind": "更换绑定的手机号码", "revoke": "注销个人数字证书",
}  # fmt: skip
FIELDS = {"phone": "手机号码", "shared_reason": "共用原因", "code": "动态密码"}
FIELD_OF_CODE = {"phone_in_use": "phone", "phone_full": "phone", "code_wrong": "code"}
router = APIRouter()


def _page(
    visit: PageContext, who: AttendedPerson, action: CertificateAction, error: AppError | None = None
) -> Response:
    """First the phone, then the question whether it is right, or its code; to revoke needs only the question."""
    errors, form = _errors(error) if error else {}, visit.form
    submitted = visit.request.method == "POST"
    waits = error is not None and error.status == 429 and "challenge_id" in form  # the code that came is still good
    asks = action == "revoke" or (submitted and (error is None or "code" in errors or waits))
    return visit.page(
        "window/certificate.html", status=error.status if error else 200, who=who, here="basic", action=action,
        title=TITLES[action], form=form, asks=asks, errors=errors, titles=FIELDS,
        shared=bool(form.get("shared_reason")) or "shared_reason" in errors or _is(error, "phone_in_use"),
        problem=error.detail if error else "",
    )  # fmt: skip


def _errors(error: AppError) -> dict[str, str]:
    field = FIELD_OF_CODE.get(error.code)
    return {field: str(error.detail)} if field else errors_of(error)


def _is(error: AppError | None, code: str) -> bool:
    return error is not None and error.code == code


@router.get("/staff/people/{person}/certificate/{action}")
async def show(visit: ClerkDep, who: AttendedDep, action: CertificateAction) -> Response:
    """The first step."""
    visit.form = await visit.draft() or {}
    return _page(visit, who, action)


@router.post("/staff/people/{person}/certificate/{action}")
async def act(visit: ClerkDep, who: AttendedDep, action: CertificateAction) -> Response:
    """The next step; what was confirmed is done."""
    try:
        if visit.form.get("step") != "confirmed" or "again" in visit.form:
            await _check(visit, who, action)
            return _page(visit, who, action)
        waits = await StaffCalls(visit.portal.backend, who.asker).certify(action, who.id, _body(visit))
    except AppError as error:
        if error.code != "code_wrong":  # 401 too, and no end of the clerk's session
            visit.still_there(error)
        return _page(visit, who, action, error)
    return await visit.done(f"{who.path}?note={'rebinding_waits' if waits else action}")


async def _check(visit: PageContext, who: AttendedPerson, action: CertificateAction) -> None:
    """What can be known before it is confirmed; a phone that takes another's place is sent a code."""
    phone = visit.form["phone"] = visit.form.get("phone", "").strip()
    if action != "revoke" and not phone:
        raise InvalidFields.one("phone", "required", REQUIRED)
    visit.form.pop("code", None)
    if action == "rebind":
        names = ("phone", "shared_reason")
        wanted = {name: text for name, text in _body(visit).items() if name in names}
        sent = await StaffCalls(visit.portal.backend, who.asker).send_phone_code(who.id, wanted)
        visit.form["challenge_id"] = sent.challenge_id


def _body(visit: PageContext) -> dict[str, str]:
    """The form as identity takes it, without what was left empty."""
    typed = {name: visit.form.get(name, "").strip() for name in ("phone", "shared_reason", "challenge_id")}
    return {name: text for name, text in {**typed, "code": code_of(visit.form)}.items() if text}
