"""Tencent Cloud SMS 2021-01-11, by its own SDK; the SDK blocks, so each call has a thread of a bounded pool."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111 import models
from tencentcloud.sms.v20210111.sms_client import SmsClient

from kit import log
from services.notify.domain import Accepted, NotSent, Outcome, Refused, Sms, Unknown
from services.notify.settings import TencentSettings

logger = log.get(__name__)
# words in the text of the SDK's ClientNetworkError by which the connection was never made
NEVER_CONNECTED = ("NewConnectionError", "ConnectTimeout", "Connection refused", "Name or service not known")


class Tencent:
    """An account at Tencent Cloud SMS."""

    name = "tencent"

    def __init__(self, settings: TencentSettings) -> None:
        self._settings = settings
        self._templates = {"login_code": settings.login_code_template}
        self._threads = ThreadPoolExecutor(settings.at_once, "tencent")

    async def send(self, sms: Sms) -> Outcome:
        """Send one message."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, sms)

    def _send(self, sms: Sms) -> Outcome:
        try:
            answer = self._client().SendSms(self._request(sms))
        except TencentCloudSDKException as error:
            return _outcome(error)
        status = answer.SendStatusSet[0]
        return Accepted(status.SerialNo) if status.Code == "Ok" else Refused(status.Code)

    def _client(self) -> SmsClient:
        """A client of its own per call: the SDK's is not safe to share between threads."""
        settings = self._settings
        credential = Credential(settings.secret_id.get_secret_value(), settings.secret_key.get_secret_value())
        http = HttpProfile(settings.protocol, settings.endpoint, reqTimeout=settings.timeout_seconds)
        return SmsClient(credential, settings.region, ClientProfile(httpProfile=http))

    def _request(self, sms: Sms) -> models.SendSmsRequest:
        request = models.SendSmsRequest()
        request.PhoneNumberSet = [f"+86{sms.phone}"]
        request.SmsSdkAppId = self._settings.sdk_app_id
        request.SignName = self._settings.sign_name
        request.TemplateId = self._templates[sms.purpose]
        request.TemplateParamSet = list(sms.variables)
        request.SessionContext = sms.out_id
        return request


def _outcome(error: TencentCloudSDKException) -> Outcome:
    """What the SDK's error says of the message; the text is not logged, it holds the request."""
    code = str(error.get_code())
    logger.warning("operator's error", provider=Tencent.name, error=code)
    if code == "ClientNetworkError":
        never = any(word in str(error.get_message()) for word in NEVER_CONNECTED)
        return NotSent() if never else Unknown()
    if code in ("ServerNetworkError", "InternalError.Timeout", "InternalError.SendAndRecvFail"):
        return Unknown()
    return Refused(code)
