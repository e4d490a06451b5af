"""Tencent Cloud SMS 2021-01-11 on the wire: SendSms."""

import re
import uuid
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.local.sms_operator.inbox import Inbox
from deploy.local.sms_operator.templates import APPROVED
from deploy.local.sms_operator.tencent_signature import Refused, verify

PROVIDER = "tencent"
VERSION = "2021-01-11"
MOST_NUMBERS = 200

_PHONE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})")


class Account(BaseModel):
    """The customer whom the operator knows."""

    secret_id: str
    secret_key: str
    sdk_app_id: str
    sign_name: str


class SendSms(BaseModel):
    """The request's fields, named as on the wire."""

    model_config = ConfigDict(extra="ignore", strict=True)

    PhoneNumberSet: list[str]
    SmsSdkAppId: str
    TemplateId: str
    SignName: str = ""
    TemplateParamSet: list[str] = Field(default_factory=list)
    SessionContext: str = ""


class Tencent:
    """One operator. Errors of a whole request are `Response.Error`, of one number its `SendStatus`; all are 200."""

    def __init__(self, account: Account, inbox: Inbox) -> None:
        self._account = account
        self._inbox = inbox

    def recognises(self, request: Request) -> bool:
        return "x-tc-action" in request.headers

    async def answer(self, request: Request) -> Response:
        try:
            body = await request.body()
            verify(self._account.secret_id, self._account.secret_key, request.headers, body)
            _require_known_action(request)
            return _response(SendStatusSet=self._send(_parsed(body)))
        except Refused as refused:
            return _response(Error={"Code": refused.code, "Message": refused.message})

    def _send(self, request: SendSms) -> list[dict[str, Any]]:
        if not request.PhoneNumberSet:
            raise Refused("MissingParameter.EmptyPhoneNumberSet", "PhoneNumberSet is empty")
        if len(request.PhoneNumberSet) > MOST_NUMBERS:
            raise Refused("LimitExceeded.PhoneNumberCountLimit", "too many phone numbers")
        return [self._send_to(phone, request) for phone in request.PhoneNumberSet]

    def _send_to(self, number: str, request: SendSms) -> dict[str, Any]:
        fault = self._fault(request)
        phone = _PHONE.fullmatch(number)
        if fault is None and phone is None:
            fault = ("InvalidParameterValue.IncorrectPhoneNumber", "incorrect phone number")
        if fault is None and phone is not None:
            text = APPROVED[request.TemplateId].printed(request.SignName, request.TemplateParamSet)
            self._inbox.deliver(phone[1], text, PROVIDER)
        return _status(number, request, fault)

    def _fault(self, request: SendSms) -> tuple[str, str] | None:
        """What is wrong with the message itself, for whomever it is meant."""
        template = APPROVED.get(request.TemplateId)
        if request.SmsSdkAppId != self._account.sdk_app_id:
            return "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId verify fail"
        if request.SignName != self._account.sign_name:
            return "FailedOperation.SignatureIncorrectOrUnapproved", "signature is incorrect or unapproved"
        if template is None:
            return "FailedOperation.TemplateIncorrectOrUnapproved", "template is incorrect or unapproved"
        if len(request.TemplateParamSet) != template.variables:
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate", "TemplateParamSet does not match"
        if not template.accepts(request.TemplateParamSet):
            return "InvalidParameterValue.TemplateParameterFormatError", "code variables are 0 to 6 digits"
        return None


def _require_known_action(request: Request) -> None:
    if request.headers.get("x-tc-version") != VERSION:
        raise Refused("NoSuchVersion", "The api version is not exist")
    if request.headers["x-tc-action"] != "SendSms":
        raise Refused("InvalidAction", "The request action is invalid")


def _parsed(body: bytes) -> SendSms:
    try:
        return SendSms.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        code = "MissingParameter" if fault["type"] == "missing" else "InvalidParameter"
        raise Refused(code, f"{field}: {fault['msg']}") from error


def _status(number: str, request: SendSms, fault: tuple[str, str] | None) -> dict[str, Any]:
    phone = _PHONE.fullmatch(number)
    code, message = fault or ("Ok", "send success")
    return {
        "SerialNo": "" if fault else f"2019:{uuid.uuid4().int % 10**19:019d}",
        "PhoneNumber": f"+86{phone[1]}" if phone else number,
        "Fee": 0 if fault else 1,
        "SessionContext": request.SessionContext,
        "Code": code,
        "Message": message,
        "IsoCode": "CN" if phone else "",
    }


def _response(**content: Any) -> Response:
    return JSONResponse({"Response": content | {"RequestId": str(uuid.uuid4())}})
