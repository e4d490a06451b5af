"""Tencent Cloud SMS 2021-01-11 on the wire: SendSms, PullSmsSendStatusByPhoneNumber, and receipts called back."""

import uuid
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.local.sms_carrier.behaviour import Behaviour, Mode
from deploy.local.sms_carrier.callbacks import Callbacks
from deploy.local.sms_carrier.inbox import PHONE_NUMBER, Inbox, Message, now
from deploy.local.sms_carrier.templates import TENCENT
from deploy.local.sms_carrier.tencent_signature import Refused, verify

VERSION = "2021-01-11"
MAX_NUMBERS = 200
REFUSALS: dict[Mode, str] = {
    "refuse": "UnauthorizedOperation.RequestPermissionDeny",
    "throttle": "LimitExceeded.DeliveryFrequencyLimit",
    "money": "FailedOperation.InsufficientBalanceInSmsPackage",
    "configuration": "FailedOperation.SignatureIncorrectOrUnapproved",
}


class Account(BaseModel):
    """The customer whom the operator knows, and where receipts are called back to."""

    secret_id: str
    secret_key: str
    sdk_app_id: str
    sign_name: str
    receipts_url: str = ""


class Asked(BaseModel):
    """A request's fields, named as on the wire."""

    model_config = ConfigDict(extra="ignore", strict=True)

    SmsSdkAppId: str


class SendSms(Asked):
    PhoneNumberSet: list[str]
    TemplateId: str
    SignName: str = ""
    TemplateParamSet: list[str] = Field(default_factory=list)
    SessionContext: str = ""


class PullByPhone(Asked):
    PhoneNumber: str
    BeginTime: int
    EndTime: int
    Offset: int
    Limit: int


A = TypeVar("A", bound=Asked)


class Tencent:
    """One operator. Errors of a whole request are `Response.Error`, of one number its `SendStatus`; all are 200."""

    name = "tencent"

    def __init__(self, account: Account, inbox: Inbox, callbacks: Callbacks) -> None:
        self._account = account
        self._inbox = inbox
        self._callbacks = callbacks

    def recognises(self, request: Request) -> bool:
        return "x-tc-action" in request.headers

    async def answer(self, request: Request, behaviour: Behaviour) -> Response:
        try:
            body = await request.body()
            verify(self._account.secret_id, self._account.secret_key, request.headers, body)
            return _response(**self._done(_known_action(request), body, behaviour))
        except Refused as refused:
            return _response(Error={"Code": refused.code, "Message": refused.message})

    def _done(self, action: str, body: bytes, behaviour: Behaviour) -> dict[str, Any]:
        if action == "SendSms":
            return {"SendStatusSet": self._send(_parsed(SendSms, body), behaviour)}
        return {"PullSmsSendStatusSet": self._pull(_parsed(PullByPhone, body))}

    def _send(self, request: SendSms, behaviour: Behaviour) -> list[dict[str, Any]]:
        if not request.PhoneNumberSet:
            raise Refused("MissingParameter.EmptyPhoneNumberSet", "PhoneNumberSet is empty")
        if len(request.PhoneNumberSet) > MAX_NUMBERS:
            raise Refused("LimitExceeded.PhoneNumberCountLimit", "too many phone numbers")
        return [self._send_to(phone, request, behaviour) for phone in request.PhoneNumberSet]

    def _send_to(self, number: str, request: SendSms, behaviour: Behaviour) -> dict[str, Any]:
        fault, phone = self._fault(request), PHONE_NUMBER.fullmatch(number)
        if behaviour.mode in REFUSALS:
            fault = (REFUSALS[behaviour.mode], "as configured")
        if fault is None and phone is None:
            fault = ("InvalidParameterValue.IncorrectPhoneNumber", "incorrect phone number")
        if fault or phone is None:
            return _status(number, request, fault)
        message = self._accepted(phone[1], request, behaviour)
        return _status(number, request, None, message.receipt)

    def _accepted(self, phone: str, request: SendSms, behaviour: Behaviour) -> Message:
        text = TENCENT[request.TemplateId].printed(request.SignName, request.TemplateParamSet)
        message = Message(
            at=now(), phone=phone, text=text, provider=self.name, out_id=request.SessionContext,
            receipt=f"2019:{uuid.uuid4().int % 10**19:019d}", template=request.TemplateId,
            delivered=behaviour.receipts != "fail",
        )  # fmt: skip
        self._inbox.deliver(message)
        if behaviour.receipts != "lost":
            self._callbacks.later(self._account.receipts_url, _called_back(message))
        return message

    def _pull(self, request: PullByPhone) -> list[dict[str, Any]]:
        phone = PHONE_NUMBER.fullmatch(request.PhoneNumber)
        found = self._inbox.messages(phone[1] if phone else "", self.name)
        wanted = [each for each in found if request.BeginTime <= _unix(each) <= request.EndTime]
        return [_pulled(message) for message in wanted[request.Offset :][: request.Limit]]

    def _fault(self, request: SendSms) -> tuple[str, str] | None:
        """Return code and message of an error in the message itself, whatever its recipient."""
        template = TENCENT.get(request.TemplateId)
        if request.SmsSdkAppId != self._account.sdk_app_id:
            return "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId verify fail"
        if request.SignName != self._account.sign_name:
            return "FailedOperation.SignatureIncorrectOrUnapproved", "signature is incorrect or unapproved"
        if template is None:
            return "FailedOperation.TemplateIncorrectOrUnapproved", "template is incorrect or unapproved"
        if len(request.TemplateParamSet) != len(template.names):
            return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate", "TemplateParamSet does not match"
        if not template.accepts(request.TemplateParamSet):
            return "InvalidParameterValue.TemplateParameterFormatError", "code variables are 0 to 6 digits"
        return None


def _known_action(request: Request) -> str:
    if request.headers.get("x-tc-version") != VERSION:
        raise Refused("NoSuchVersion", "The api version is not exist")
    action = request.headers["x-tc-action"]
    if action not in ("SendSms", "PullSmsSendStatusByPhoneNumber"):
        raise Refused("InvalidAction", "The request action is invalid")
    return action


def _parsed(model: type[A], body: bytes) -> A:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        code = "MissingParameter" if fault["type"] == "missing" else "InvalidParameter"
        raise Refused(code, f"{field}: {fault['msg']}") from error


def _status(number: str, request: SendSms, fault: tuple[str, str] | None, receipt: str = "") -> dict[str, Any]:
    phone = PHONE_NUMBER.fullmatch(number)
    code, message = fault or ("Ok", "send success")
    return {
        "SerialNo": receipt,
        "PhoneNumber": f"+86{phone[1]}" if phone else number,
        "Fee": 0 if fault else 1,
        "SessionContext": request.SessionContext,
        "Code": code,
        "Message": message,
        "IsoCode": "CN" if phone else "",
    }


def _called_back(message: Message) -> dict[str, Any]:
    return {
        "user_receive_time": message.local_time, "nationcode": "86", "mobile": message.phone,
        "report_status": "SUCCESS" if message.delivered else "FAIL",
        "errmsg": "DELIVRD" if message.delivered else "MK:0001",
        "description": "用户短信送达成功" if message.delivered else "用户短信送达失败",
        "sid": message.receipt, "ext": message.out_id,
    }  # fmt: skip


def _pulled(message: Message) -> dict[str, Any]:
    return {
        "UserReceiveTime": _unix(message), "CountryCode": "86", "SubscriberNumber": message.phone,
        "PhoneNumber": f"+86{message.phone}", "SerialNo": message.receipt,
        "ReportStatus": "SUCCESS" if message.delivered else "FAIL",
        "Description": "DELIVRD" if message.delivered else "MK:0001", "SessionContext": message.out_id,
    }  # fmt: skip


def _unix(message: Message) -> int:
    return int(datetime.fromisoformat(message.at).timestamp())


def _response(**content: Any) -> Response:
    return JSONResponse({"Response": content | {"RequestId": str(uuid.uuid4())}})
