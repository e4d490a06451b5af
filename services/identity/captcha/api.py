"""Routes of captchas."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from kit.http.callers import client_address
from kit.http.routes import Id, Out, StrictRoute
from services.identity.api import ApiDep

router = APIRouter(prefix="/api/identity", route_class=StrictRoute)


class CaptchaOut(Out):
    """A new captcha; `image` is a PNG data URI."""

    captcha_id: str
    image: str
    audio_url: str
    expires_at: datetime


@router.post("/captchas", status_code=201)
async def make_captcha(services: ApiDep, request: Request, scale: Annotated[int, Query(ge=1, le=2)] = 1) -> CaptchaOut:
    """Create a captcha; `scale=2` doubles the size of the image."""
    await services.throttle.admit(client_address(request))
    captcha = await services.captchas.make(scale)
    audio_url = f"{router.prefix}/captchas/{captcha.id}/audio"
    return CaptchaOut(captcha_id=captcha.id, image=captcha.image, audio_url=audio_url, expires_at=captcha.expires_at)


@router.get("/captchas/{captcha_id}/audio", response_class=Response)
async def hear_captcha(services: ApiDep, request: Request, captcha_id: Id) -> Response:
    """The captcha spoken in Mandarin, as WAV."""
    await services.throttle.admit(client_address(request))
    return Response(await services.captchas.audio(captcha_id), media_type="audio/wav")
