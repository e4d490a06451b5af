"""Aliyun SMS (Dysmsapi 2017-05-25), with its own SDK. The SDK puts phone and code into the URL: never log it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_dysmsapi20170525.models import (
    QuerySendDetailsRequest,
    SendSmsRequest,
    SendSmsResponseBody,
)
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config

from kit.core.clock import shanghai_date
from kit.core.errors import Unavailable
from services.notify.domain import Accepted, Outcome, Reason, Report, Sms, outcome_of
from services.notify.providers.sdk_client import CarrierClient
from services.notify.settings import AliyunSettings
from services.notify.templates import CATALOGUE

MAX_REPORTS = 50
WAITING, DELIVERED = 1, 3  # SendStatus; 2 is failed

REASONS: Mapping[str, Reason] = {
    "isv.BUSINESS_LIMIT_CONTROL": "throttled",
    "isv.DAY_LIMIT_CONTROL": "overloaded",
    "isv.MONTH_LIMIT_CONTROL": "overloaded",
    "Throttling": "overloaded",
    "isv.MOBILE_NUMBER_ILLEGAL": "bad_number",
    "isv.AMOUNT_NOT_ENOUGH": "money",
    "isv.OUT_OF_SERVICE": "money",
    "isv": "configuration",  # "independent software vendor": us
    "Forbidden": "configuration",
    "IncompleteSignature": "configuration",
    "InvalidAccessKeyId": "configuration",
    "InvalidTimeStamp": "configuration",
    "InvalidVersion": "configuration",
    "NoPermission": "configuration",
    "SignatureDoesNotMatch": "configuration",
    "SignatureNonceUsed": "configuration",
}


class Aliyun(CarrierClient):
    """An account at Aliyun SMS."""

    name = "aliyun"
    reasons: ClassVar[Mapping[str, Reason]] = REASONS

    def __init__(self, settings: AliyunSettings) -> None:
        super().__init__(settings.at_once)
        self._settings = settings
        self._client = Client(_configuration(settings))

    def _send(self, sms: Sms) -> Outcome:
        return _outcome(self._client.send_sms(self._request(sms)).body)

    def _error_code(self, error: Exception) -> str | None:
        return str(error.code or "") if isinstance(error, AlibabaCloudException) else None

    def _query_reports(self, phone: str, since: datetime) -> list[Report]:
        """By phone and day; each report has our own id."""
        body = self._client.query_send_details(_query(phone, since)).body
        if not body.code:
            raise Unavailable(self.name)
        details = body.sms_send_detail_dtos.sms_send_detail_dto if body.sms_send_detail_dtos else None
        return [
            Report("", str(detail.out_id or ""), detail.send_status == DELIVERED, str(detail.err_code or ""))
            for detail in details or []
            if detail.send_status != WAITING
        ]

    def _request(self, sms: Sms) -> SendSmsRequest:
        named = dict(zip(CATALOGUE[sms.purpose].names, sms.variables, strict=True))
        return SendSmsRequest(
            phone_numbers=sms.phone,
            sign_name=self._settings.sign_name,
            template_code=self._settings.templates[sms.purpose],
            template_param=json.dumps(named) if named else None,
            out_id=sms.out_id,
        )


def _configuration(settings: AliyunSettings) -> Config:
    return Config(
        access_key_id=settings.access_key_id.get_secret_value(),
        access_key_secret=settings.access_key_secret.get_secret_value(),
        endpoint=settings.endpoint,
        protocol=settings.protocol.upper(),
        connect_timeout=round(settings.connect_seconds * 1000),
        read_timeout=round(settings.answer_seconds * 1000),
        max_idle_conns=settings.at_once,
    )


def _query(phone: str, since: datetime) -> QuerySendDetailsRequest:
    day = shanghai_date(since).strftime("%Y%m%d")
    return QuerySendDetailsRequest(phone_number=phone, send_date=day, page_size=MAX_REPORTS, current_page=1)


def _outcome(body: SendSmsResponseBody) -> Outcome:
    if body.code == "OK" and body.biz_id:
        return Accepted(str(body.biz_id))
    return outcome_of(str(body.code or ""), REASONS)
