"""Tencent Cloud SMS 2021-01-11, with its own SDK."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111 import models
from tencentcloud.sms.v20210111.sms_client import SmsClient

from services.notify.domain import Accepted, Outcome, Reason, Report, Sms, outcome_of
from services.notify.providers.sdk_client import CarrierClient
from services.notify.settings import TencentSettings

MAX_REPORTS = 100
CLOCKS_DIFFER = timedelta(minutes=1)

REASONS: Mapping[str, Reason] = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": "throttled",
    "LimitExceeded.PhoneNumberOneHourLimit": "throttled",
    "LimitExceeded.PhoneNumberDailyLimit": "throttled",
    "LimitExceeded.PhoneNumberSameContentDailyLimit": "throttled",
    "LimitExceeded.DeliveryFrequencyLimit": "throttled",
    "LimitExceeded": "overloaded",
    "RequestLimitExceeded": "overloaded",
    "InvalidParameterValue.IncorrectPhoneNumber": "bad_number",
    "FailedOperation.PhoneNumberParseFail": "bad_number",
    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": "bad_number",
    "FailedOperation.PhoneNumberInBlacklist": "opted_out",
    "FailedOperation.InsufficientBalanceInSmsPackage": "money",
    "UnauthorizedOperation.ServiceSuspendDueToArrears": "money",
    "FailedOperation.ContainSensitiveWord": "configuration",
    "FailedOperation.MissingSignature": "configuration",
    "FailedOperation.NotEnterpriseCertification": "configuration",
    "FailedOperation.ProhibitSubAccountUse": "configuration",
    "FailedOperation.SignatureIncorrectOrUnapproved": "configuration",
    "FailedOperation.TemplateIdNotExist": "configuration",
    "FailedOperation.TemplateIncorrectOrUnapproved": "configuration",
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": "configuration",
    "FailedOperation.TemplateUnapprovedOrNotExist": "configuration",
    "InternalError.RequestTimeException": "configuration",  # our clock is off by more than ten minutes
    "InternalError.SigFieldMissing": "configuration",
    "InternalError.SigVerificationFail": "configuration",
    "AuthFailure": "configuration",
    "InvalidAction": "configuration",
    "InvalidParameter": "configuration",
    "InvalidParameterValue": "configuration",
    "MissingParameter": "configuration",
    "NoSuchVersion": "configuration",
    "UnauthorizedOperation": "configuration",
    "UnsupportedOperation": "configuration",
}


class Tencent(CarrierClient):
    """An account at Tencent Cloud SMS."""

    name = "tencent"
    reasons: ClassVar[Mapping[str, Reason]] = REASONS

    def __init__(self, settings: TencentSettings) -> None:
        super().__init__(settings.at_once)
        self._settings = settings

    def _send(self, sms: Sms) -> Outcome:
        [status] = self._client().SendSms(self._request(sms)).SendStatusSet or [models.SendStatus()]
        return Accepted(str(status.SerialNo)) if status.Code == "Ok" else outcome_of(str(status.Code), REASONS)

    def _error_code(self, error: Exception) -> str | None:
        """The SDK raises one class for all errors; only one that the carrier answered has a request id."""
        if isinstance(error, TencentCloudSDKException) and error.get_request_id() is not None:
            return str(error.get_code())
        return None

    def _query_reports(self, phone: str, since: datetime) -> list[Report]:
        """By phone; a message whose outcome is unknown is found only if the account returns SessionContext."""
        found = self._client().PullSmsSendStatusByPhoneNumber(self._query(phone, since))
        return [_report(status) for status in found.PullSmsSendStatusSet or []]

    def _client(self) -> SmsClient:
        """A new client for each call: the SDK's client is not thread-safe."""
        settings = self._settings
        credential = Credential(settings.secret_id.get_secret_value(), settings.secret_key.get_secret_value())
        timeouts = (settings.connect_seconds, settings.answer_seconds)  # the SDK passes them on to requests
        http = HttpProfile(settings.protocol, settings.endpoint, reqTimeout=timeouts)
        return SmsClient(credential, settings.region, ClientProfile(httpProfile=http))

    def _request(self, sms: Sms) -> models.SendSmsRequest:
        request = models.SendSmsRequest()
        request.PhoneNumberSet = [f"+86{sms.phone}"]
        request.SmsSdkAppId = self._settings.sdk_app_id
        request.SignName = self._settings.sign_name
        request.TemplateId = self._settings.templates[sms.purpose]
        request.TemplateParamSet = list(sms.variables)
        request.SessionContext = sms.out_id
        return request

    def _query(self, phone: str, since: datetime) -> models.PullSmsSendStatusByPhoneNumberRequest:
        request = models.PullSmsSendStatusByPhoneNumberRequest()
        request.PhoneNumber = f"+86{phone}"
        request.SmsSdkAppId = self._settings.sdk_app_id
        request.BeginTime = int((since - CLOCKS_DIFFER).timestamp())
        request.EndTime = int((datetime.now(since.tzinfo) + CLOCKS_DIFFER).timestamp())
        request.Offset, request.Limit = 0, MAX_REPORTS
        return request


def _report(status: models.PullSmsSendStatus) -> Report:
    delivered, code = status.ReportStatus == "SUCCESS", str(status.Description or "")
    return Report(str(status.SerialNo), str(status.SessionContext or ""), delivered, code)
