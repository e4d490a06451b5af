"""The digital certificate at the window: issued, bound to another phone, revoked; each is confirmed first."""

from fastapi import APIRouter
from starlette.responses import Response

from kit.errors import AppError
from services.portal.attending import Attended, AttendedDep, ClerkDep
from services.portal.forms import errors_of
from services.portal.staff_calls import CertificateAction, StaffCalls
from services.portal.visits import Visit

TITLES: dict[CertificateAction, str] = {
    "issue": "申领个人数字证书", "rebind": "更换绑定的手机号码", "revoke": "注销个人数字证书",
}  # fmt: skip
router = APIRouter()


def _page(visit: Visit, who: Attended, action: CertificateAction, error: AppError | None = None) -> Response:
    """First the phone, then the question whether it is right; to revoke needs only the question."""
    phone, submitted = visit.form.get("phone", "").strip(), visit.request.method == "POST"
    errors = errors_of(error) if error else {}
    if submitted and not phone and action != "revoke":
        errors = {"phone": "请填写手机号码"}
    asks = action == "revoke" or (submitted and not errors and error is None)
    return visit.page(
        "staff/certificate.html", status=error.status if error else 200, who=who, here="basic", action=action,
        title=TITLES[action], phone=phone, asks=asks, errors=errors,
        problem=errors.get("phone") or (error.detail if error else ""),
    )  # fmt: skip


@router.get("/staff/people/{person}/certificate/{action}")
async def show(visit: ClerkDep, who: AttendedDep, action: CertificateAction) -> Response:
    """The first step."""
    visit.form = await visit.draft() or {}
    return _page(visit, who, action)


@router.post("/staff/people/{person}/certificate/{action}")
async def act(visit: ClerkDep, who: AttendedDep, action: CertificateAction) -> Response:
    """The next step; what was confirmed is done."""
    if visit.form.get("step") != "confirmed":
        return _page(visit, who, action)
    try:
        phone = visit.form.get("phone", "")
        await StaffCalls(visit.portal.backend, visit.asker).certify(action, who.id, phone)
    except AppError as error:
        visit.still_there(error)
        return _page(visit, who, action, error)
    return await visit.done(f"{who.path}?note={action}")
