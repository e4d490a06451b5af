"""Routes of attachments."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from kit.core.errors import AppError
from kit.core.text import Text
from kit.files.documents import Remark
from kit.http.callers import ACCESS_REASON, CallerDep, bearer_token
from kit.http.quotas import count, counted
from kit.http.routes import Id, In, Out, StrictRoute
from kit.http.uploads import read_upload, upload_body
from services.attachments.corrections import CorrectedScan, Corrections
from services.attachments.domain import Attachment, Rules, State
from services.attachments.service import AttachmentService

PUBLIC = {"Cache-Control": "public, max-age=300"}
TITLE_LENGTH = 100
UPLOAD_FORM = upload_body("a JPEG", {"title": {"type": "string", "minLength": 1, "maxLength": TITLE_LENGTH}})
CORRECTIONS = "/api/attachments/corrections"
CORRECTION_FORM = upload_body("a photo or scan as JPEG, PNG or WebP")
CORRECTION_BYTES = 12 * 1024 * 1024
JPEG_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}


class RulesOut(Out):
    """The limits of scans, for checks before an upload: less than `limit_bytes`, `least_dpi` to `most_dpi`."""

    content_types: list[str]
    limit_bytes: int
    least_dpi: int
    most_dpi: int
    scale: str
    title_length: int

    @classmethod
    def of(cls, rules: Rules) -> "RulesOut":
        """Make it from the rules of the check."""
        limits = rules.model_dump(include={"limit_bytes", "least_dpi", "most_dpi"})
        return cls(content_types=["image/jpeg"], scale="1:1", title_length=TITLE_LENGTH, **limits)


class AttachmentFields(In):
    """The text fields of an upload; `title`: the name under which the scan is shown."""

    title: Annotated[str, Text(TITLE_LENGTH)]


class UploadedOut(Out):
    """An uploaded scan that is not checked yet."""

    attachment_id: str
    state: State
    title: str
    size: int
    sha256: str


class AttachmentOut(UploadedOut):
    """An attachment; `used_elsewhere`: another person uploaded the same file; null for the owner."""

    record_id: str
    reasons: list[Remark]
    warnings: list[Remark]
    width: int | None
    height: int | None
    dpi: int | None
    used_elsewhere: bool | None


class CorrectionOut(Out):
    """A scan that was made of a photo, kept for an hour.

    `cropped`: the sheet was cut out of the photo and straightened; otherwise the whole picture was resized.
    `remarks`: what its check would say.
    """

    correction_id: str
    width: int
    height: int
    dpi: int
    size: int
    cropped: bool
    remarks: list[Remark]

    @classmethod
    def of(cls, made: CorrectedScan) -> "CorrectionOut":
        """Make it from the corrected scan."""
        scan = made.correction
        return cls(
            correction_id=made.id, width=scan.width, height=scan.height, dpi=scan.dpi, size=len(scan.image),
            cropped=scan.cropped, remarks=made.remarks,
        )  # fmt: skip


def _fields(attachment: Attachment) -> dict[str, object]:
    return {"attachment_id": attachment.id, **attachment.model_dump(exclude=set(Attachment.UNTRACKED))}


class ApiDependencies:
    """What the routes need."""

    def __init__(self, service: AttachmentService, corrections: Corrections, rules: Rules) -> None:
        self.service = service
        self.corrections = corrections
        self.rules = rules

    def too_large(self) -> AppError:
        """The error for a file that is not smaller than the limit."""
        limit, density = f"{self.rules.limit_bytes // 1024}KB", f"{self.rules.least_dpi}~{self.rules.most_dpi}dpi"
        message = f"附件必须小于 {limit}：扫描件请按 {density}、原件大小重新扫描，手机照片请先缩小到 1100×800 像素左右"
        return AppError(413, "file_too_large", message)


def photo_too_large() -> AppError:
    """The error for a file that is too large to be corrected."""
    limit = f"{CORRECTION_BYTES // 1024**2}MB"
    return AppError(413, "file_too_large", f"图片必须小于 {limit}，请降低手机相机的像素后重新拍照")


async def _dependencies(request: Request) -> ApiDependencies:
    api: ApiDependencies = request.app.state.service
    return api


ApiDep = Annotated[ApiDependencies, Depends(_dependencies)]
router = APIRouter(prefix="/api/attachments", route_class=StrictRoute)


@router.get("/rules")
async def get_rules(api: ApiDep, response: Response) -> RulesOut:
    """The rules that a scan must satisfy."""
    response.headers.update(PUBLIC)
    return RulesOut.of(api.rules)


@router.post("/records/{record_id}/attachment", status_code=202, openapi_extra=UPLOAD_FORM)
async def upload_attachment(api: ApiDep, caller: CallerDep, record_id: Id, request: Request) -> UploadedOut:
    """Upload the scan of a record; it is checked within about a second."""
    record = await api.service.check_upload(caller, bearer_token(request), record_id)
    await count(request, caller, "uploads")
    upload = await read_upload(request, api.rules.limit_bytes, api.too_large)
    fields = upload.parse(AttachmentFields)
    return UploadedOut.model_validate(_fields(await api.service.upload(caller, record, fields.title, upload.content)))


@router.post("/corrections", status_code=201, openapi_extra=CORRECTION_FORM)
async def correct_photo(api: ApiDep, caller: CallerDep, request: Request) -> CorrectionOut:
    """Make a scan of a photo: the sheet is cut out if it is found with certainty, and sized to the rules.

    Nothing is uploaded to a record. A PNG or WebP may have 25 million pixels, a JPEG 64 million.
    """
    api.corrections.check(caller)
    await count(request, caller, "uploads")
    upload = await read_upload(request, CORRECTION_BYTES, photo_too_large)
    return CorrectionOut.of(await api.corrections.correct(caller, upload.content))


@router.get(
    "/corrections/{correction_id}/image",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=JPEG_ANSWER,
)
async def get_corrected_image(api: ApiDep, caller: CallerDep, correction_id: Id) -> Response:
    """A scan that was made of the caller's own photo."""
    return _jpeg(await api.corrections.image(caller, correction_id), 'inline; filename="scan.jpg"')


@router.get("/records/{record_id}/attachment", openapi_extra=ACCESS_REASON)
async def get_attachment(api: ApiDep, caller: CallerDep, record_id: Id) -> AttachmentOut:
    """A record's scan and its verdict."""
    attachment, used_elsewhere = await api.service.of_record(caller, record_id)
    return AttachmentOut.model_validate({**_fields(attachment), "used_elsewhere": used_elsewhere})


@router.delete("/records/{record_id}/attachment", status_code=204)
async def delete_attachment(api: ApiDep, caller: CallerDep, record_id: Id) -> None:
    """Delete a record's scan."""
    await api.service.delete(caller, record_id)


@router.get(
    "/attachments/{attachment_id}/image",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=JPEG_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_image(api: ApiDep, caller: CallerDep, attachment_id: Id) -> Response:
    """The clean copy of an accepted scan."""
    return _jpeg(await api.service.image(caller, attachment_id), 'inline; filename="scan.jpg"')


@router.get(
    "/attachments/{attachment_id}/thumbnail",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=JPEG_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_thumbnail(api: ApiDep, caller: CallerDep, attachment_id: Id) -> Response:
    """The thumbnail of an accepted scan."""
    return _jpeg(await api.service.thumbnail(caller, attachment_id), 'inline; filename="thumbnail.jpg"')


@router.get(
    "/attachments/{attachment_id}/original",
    response_class=Response,
    dependencies=[counted("downloads")],
    responses=JPEG_ANSWER,
    openapi_extra=ACCESS_REASON,
)
async def get_original(api: ApiDep, caller: CallerDep, attachment_id: Id) -> Response:
    """The uploaded file, unchanged."""
    return _jpeg(await api.service.original(caller, attachment_id), 'attachment; filename="original.jpg"')


def _jpeg(content: bytes, disposition: str) -> Response:
    return Response(content, media_type="image/jpeg", headers={"Content-Disposition": disposition})
