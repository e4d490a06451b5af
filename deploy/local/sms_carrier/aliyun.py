"""Aliyun SMS (Dysmsapi 2017-05-25) on the wire: SendSms, QuerySendDetails, and receipts called back."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.local.sms_carrier.aliyun_signature import Refused, verify
from deploy.local.sms_carrier.behaviour import Behaviour, Mode
from deploy.local.sms_carrier.callbacks import Callbacks
from deploy.local.sms_carrier.inbox import PHONE_NUMBER, Inbox, Message, now
from deploy.local.sms_carrier.templates import ALIYUN

VERSION = "2017-05-25"
DELIVERED, FAILED = 3, 2
REFUSALS: dict[Mode, str] = {
    "refuse": "isv.DENY_IP_RANGE",
    "throttle": "isv.BUSINESS_LIMIT_CONTROL",
    "money": "isv.AMOUNT_NOT_ENOUGH",
    "configuration": "isv.SMS_SIGNATURE_ILLEGAL",
}


class Account(BaseModel):
    """The customer's account at the carrier, and the URL for delivery receipts."""

    access_key_id: str
    access_key_secret: str
    sign_name: str
    receipts_url: str = ""


class Aliyun:
    """Simulates Aliyun: an invalid request gets 400, a refused message 200 with a code other than "OK"."""

    name = "aliyun"

    def __init__(self, account: Account, inbox: Inbox, callbacks: Callbacks) -> None:
        self._account = account
        self._inbox = inbox
        self._callbacks = callbacks

    def recognises(self, request: Request) -> bool:
        return "x-acs-action" in request.headers

    async def answer(self, request: Request, behaviour: Behaviour) -> Response:
        query = dict(request.query_params)
        try:
            account, body = self._account, await request.body()
            verify(account.access_key_id, account.access_key_secret, request.headers, query, body)
            return _response(**self._done(_known_action(request), query, behaviour))
        except Refused as refused:
            return _response(400, Code=refused.code, Message=refused.message)

    def _done(self, action: str, query: Mapping[str, str], behaviour: Behaviour) -> dict[str, Any]:
        if action == "QuerySendDetails":
            return self._details(query)
        fault = REFUSALS.get(behaviour.mode) or self._fault(query)
        if fault:
            return {"Code": fault, "Message": "refused"}
        return {"Code": "OK", "Message": "OK", "BizId": self._accepted(query, behaviour).receipt}

    def _fault(self, query: Mapping[str, str]) -> str | None:
        template = ALIYUN.get(query.get("TemplateCode", ""))
        if query.get("SignName") != self._account.sign_name:
            return "isv.SMS_SIGNATURE_ILLEGAL"
        if template is None:
            return "isv.SMS_TEMPLATE_ILLEGAL"
        values = _variables(query)
        if values is None:
            return "isv.INVALID_JSON_PARAM"
        if not values.keys() >= set(template.names):
            return "isv.TEMPLATE_MISSING_PARAMETERS"
        if not template.accepts(list(values.values())):
            return "isv.PARAM_LENGTH_LIMIT"
        return None if PHONE_NUMBER.fullmatch(query.get("PhoneNumbers", "")) else "isv.MOBILE_NUMBER_ILLEGAL"

    def _accepted(self, query: Mapping[str, str], behaviour: Behaviour) -> Message:
        template = ALIYUN[query["TemplateCode"]]
        values = _variables(query)
        phone = PHONE_NUMBER.fullmatch(query["PhoneNumbers"])
        message = Message(
            at=now(), phone=phone[1] if phone else "", provider=self.name, out_id=query.get("OutId", ""),
            text=template.printed(query["SignName"], [(values or {})[name] for name in template.names]),
            receipt=f"{uuid.uuid4().int % 10**18:018d}^0", template=query["TemplateCode"],
            delivered=behaviour.receipts != "fail",
        )  # fmt: skip
        self._inbox.deliver(message)
        if behaviour.receipts != "lost":
            self._callbacks.later(self._account.receipts_url, _called_back(message))
        return message

    def _details(self, query: Mapping[str, str]) -> dict[str, Any]:
        found = self._inbox.messages(query.get("PhoneNumber", ""), self.name)
        wanted = [
            message
            for message in found
            if message.local_time.startswith(_day(query.get("SendDate", "")))
            and query.get("BizId") in (None, message.receipt)
        ]
        first = (int(query.get("CurrentPage", "1")) - 1) * int(query.get("PageSize", "10"))
        page = wanted[::-1][first : first + int(query.get("PageSize", "10"))]
        details = {"SmsSendDetailDTO": [_detail(message) for message in page]}
        return {"Code": "OK", "Message": "OK", "TotalCount": len(wanted), "SmsSendDetailDTOs": details}


def _known_action(request: Request) -> str:
    action = request.headers["x-acs-action"]
    if request.headers.get("x-acs-version") != VERSION or action not in ("SendSms", "QuerySendDetails"):
        raise Refused("InvalidAction.NotFound", "Specified api is not found.")
    return action


def _variables(query: Mapping[str, str]) -> dict[str, str] | None:
    """Return the template's variables; `None` unless all values are JSON strings."""
    try:
        values = json.loads(query.get("TemplateParam") or "{}")
    except ValueError:
        return None
    good = isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
    return values if good else None


def _called_back(message: Message) -> dict[str, Any]:
    return {
        "phone_number": message.phone, "send_time": message.local_time, "report_time": message.local_time,
        "success": message.delivered, "err_code": "DELIVERED" if message.delivered else "MK:0001",
        "err_msg": "用户接收成功" if message.delivered else "用户接收失败",
        "sms_size": "1", "biz_id": message.receipt, "out_id": message.out_id,
    }  # fmt: skip


def _detail(message: Message) -> dict[str, Any]:
    return {
        "PhoneNum": message.phone, "SendStatus": DELIVERED if message.delivered else FAILED, "OutId": message.out_id,
        "ErrCode": "DELIVERED" if message.delivered else "MK:0001", "TemplateCode": message.template,
        "Content": message.text, "SendDate": message.local_time, "ReceiveDate": message.local_time,
    }  # fmt: skip


def _day(compact: str) -> str:
    return f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"


def _response(status: int = 200, **content: Any) -> Response:
    return JSONResponse(content | {"RequestId": str(uuid.uuid4()).upper()}, status_code=status)
