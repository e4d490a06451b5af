"""The digital certificate at the window: issue, rebind to another phone, revoke; each is confirmed first."""

from fastapi import APIRouter
from starlette.responses import Response

from kit.core.errors import AppError, InvalidFields
from kit.core.text import REQUIRED
from services.portal.client.staff import CertificateAction, StaffCalls
from services.portal.session.forms import code_of, errors_of
from services.portal.session.page_context import PageContext
from services.portal.window.attended_person import AttendedDep, AttendedPerson, ClerkDep

TITLES: dict[CertificateAction, str] = {
    "issue": "申领个人数字证书", "rebind": "更换绑定的手机号码", "revoke": "注销个人数字证书",
}  # fmt: skip
FIELDS = {"phone": "手机号码", "shared_reason": "共用原因", "code": "动态密码"}
FIELD_OF_CODE = {"phone_in_use": "phone", "phone_full": "phone", "code_wrong": "code"}
router = APIRouter()


def _page(
    context: PageContext, attended: AttendedPerson, action: CertificateAction, error: AppError | None = None
) -> Response:
    """First the phone, then its confirmation (for rebind, the code sent to it); revoke has only the confirmation."""
    errors = _errors(error) if error else {}
    form = context.form
    submitted = context.request.method == "POST"
    code_still_valid = error is not None and error.status == 429 and "challenge_id" in form
    confirming = action == "revoke" or (submitted and (error is None or "code" in errors or code_still_valid))
    return context.render(
        "window/certificate.html", status=error.status if error else 200, attended=attended, current="basic",
        action=action, title=TITLES[action], form=form, confirming=confirming, errors=errors, titles=FIELDS,
        shared=bool(form.get("shared_reason")) or "shared_reason" in errors or _is(error, "phone_in_use"),
        problem=error.detail if error else "",
    )  # fmt: skip


def _errors(error: AppError) -> dict[str, str]:
    field = FIELD_OF_CODE.get(error.code)
    return {field: str(error.detail)} if field else errors_of(error)


def _is(error: AppError | None, code: str) -> bool:
    return error is not None and error.code == code


@router.get("/staff/people/{person}/certificate/{action}")
async def show(context: ClerkDep, attended: AttendedDep, action: CertificateAction) -> Response:
    """The first step."""
    context.form = await context.load_draft() or {}
    return _page(context, attended, action)


@router.post("/staff/people/{person}/certificate/{action}")
async def act(context: ClerkDep, attended: AttendedDep, action: CertificateAction) -> Response:
    """The next step; carried out if it was confirmed."""
    try:
        if context.form.get("step") != "confirmed" or "again" in context.form:
            await _check(context, attended, action)
            return _page(context, attended, action)
        waits = await StaffCalls(context.portal.backend, attended.caller).certify(action, attended.id, _body(context))
    except AppError as error:
        if error.code != "code_wrong":  # also 401, but the clerk's session has not ended
            context.raise_session_errors(error)
        return _page(context, attended, action, error)
    return await context.finish(f"{attended.path}?note={'rebinding_waits' if waits else action}")


async def _check(context: PageContext, attended: AttendedPerson, action: CertificateAction) -> None:
    """Check the phone before the confirmation; for rebind, send a code to it."""
    phone = context.form["phone"] = context.form.get("phone", "").strip()
    if action != "revoke" and not phone:
        raise InvalidFields.one("phone", "required", REQUIRED)
    context.form.pop("code", None)
    if action == "rebind":
        names = ("phone", "shared_reason")
        body = {name: text for name, text in _body(context).items() if name in names}
        sent = await StaffCalls(context.portal.backend, attended.caller).send_phone_code(attended.id, body)
        context.form["challenge_id"] = sent.challenge_id


def _body(context: PageContext) -> dict[str, str]:
    """The request body for identity, without empty fields."""
    typed = {name: context.form.get(name, "").strip() for name in ("phone", "shared_reason", "challenge_id")}
    return {name: text for name, text in {**typed, "code": code_of(context.form)}.items() if text}
