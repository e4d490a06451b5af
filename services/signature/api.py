"""Routes of signature sheets and signatures."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from kit.core.errors import AppError
from kit.files.documents import Remark
from kit.http.callers import ACCESS_REASON, CallerDep, FreshCallerDep, bearer_token
from kit.http.quotas import count, counted
from kit.http.routes import Id, In, Out, PersonId, StrictRoute
from kit.http.uploads import read_upload, upload_body
from services.signature.domain import Rules, Signature, State
from services.signature.service import SignatureService
from services.signature.sheets.service import SheetService

UPLOAD_FORM = upload_body("a JPEG of the signed sheet")
PDF_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}}}
JPEG_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}
PNG_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}


class FormOut(Out):
    """A signature sheet to be printed and signed; it can be uploaded until `expires_at`."""

    form_id: str
    expires_at: datetime
    pdf_url: str


class UploadIn(In):
    """The text fields of an upload; there are none."""


class UploadedOut(Out):
    """An uploaded scan that is not checked yet."""

    signature_id: str
    state: State


class AcceptedOut(Out):
    """The signature in force."""

    signature_id: str
    form_id: str
    accepted_at: datetime


class SignatureOut(Out):
    """The scan that was uploaded last, with its verdict, and the signature in force, which may be an older one."""

    state: Literal["none", "checking", "accepted", "refused"]
    signature_id: str | None = None
    form_id: str | None = None
    reasons: list[Remark] = Field(default=[])
    warnings: list[Remark] = Field(default=[])
    uploaded_at: datetime | None = None
    accepted: AcceptedOut | None = None

    @classmethod
    def of(cls, last: Signature | None, in_force: Signature | None) -> "SignatureOut":
        """Make it from the documents; state `none` if nothing was uploaded."""
        accepted = {**_fields(in_force), "accepted_at": in_force.updated_at} if in_force else None
        return cls.model_validate({**(_fields(last) if last else {"state": "none"}), "accepted": accepted})


def _fields(signature: Signature) -> dict[str, object]:
    own = signature.model_dump(exclude=set(Signature.UNTRACKED))
    return {"signature_id": signature.id, "uploaded_at": signature.created_at, **own}


@dataclass(frozen=True)
class ApiDependencies:
    """What the routes need."""

    sheets: SheetService
    signatures: SignatureService
    rules: Rules

    def too_large(self) -> AppError:
        """The error for a file that is larger than the limit."""
        message = f"图片不能超过 {self.rules.limit_bytes // 1024 // 1024}MB，请降低分辨率后重新扫描或拍照"
        return AppError(413, "file_too_large", message)


async def _dependencies(request: Request) -> ApiDependencies:
    api: ApiDependencies = request.app.state.service
    return api


ApiDep = Annotated[ApiDependencies, Depends(_dependencies)]
router = APIRouter(prefix="/api/signature", route_class=StrictRoute)


@router.post("/practitioners/me/forms", status_code=201, dependencies=[counted("exports")])
async def make_form(api: ApiDep, caller: CallerDep, request: Request) -> FormOut:
    """Make a signature sheet 签名信息采集表, to be printed, signed, scanned and uploaded."""
    sheet = await api.sheets.make(caller, bearer_token(request))
    return FormOut(form_id=sheet.id, expires_at=sheet.expires_at, pdf_url=f"{router.prefix}/forms/{sheet.id}.pdf")


@router.get(
    "/forms/{form_id}.pdf",
    response_class=Response,
    dependencies=[counted("exports")],
    responses=PDF_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_form(api: ApiDep, caller: CallerDep, form_id: Id) -> Response:
    """The signature sheet as PDF, A4."""
    return _file(await api.sheets.pdf(caller, form_id), "application/pdf", "signature-form.pdf")


@router.post("/practitioners/me/signature", status_code=202, openapi_extra=UPLOAD_FORM)
async def upload_signature(api: ApiDep, caller: FreshCallerDep, request: Request) -> UploadedOut:
    """Upload the signed sheet, scanned or photographed; checked within seconds. Requires a recent authentication."""
    person = await api.signatures.check_upload(caller)
    await count(request, caller, "uploads")
    upload = await read_upload(request, api.rules.limit_bytes + 1, api.too_large)
    upload.parse(UploadIn)
    return UploadedOut.model_validate(_fields(await api.signatures.upload(caller, person, upload.content)))


@router.get("/practitioners/{practitioner_id}/signature", openapi_extra=ACCESS_REASON)
async def get_signature(api: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> SignatureOut:
    """A person's signature: the scan uploaded last, and the signature in force."""
    return SignatureOut.of(*await api.signatures.of_person(caller, practitioner_id))


@router.get(
    "/practitioners/{practitioner_id}/signature/scan",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=JPEG_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_scan(api: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> Response:
    """The straightened page that the signature in force was cut out of."""
    return _file(await api.signatures.scan(caller, practitioner_id), "image/jpeg", "signature-form.jpg")


@router.get(
    "/practitioners/{practitioner_id}/signature/image",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=PNG_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_image(api: ApiDep, caller: CallerDep, practitioner_id: PersonId) -> Response:
    """The image of the signature in force, with a transparent background."""
    return _file(await api.signatures.image(caller, practitioner_id), "image/png", "signature.png")


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
