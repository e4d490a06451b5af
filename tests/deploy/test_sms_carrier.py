"""The simulated SMS carriers, called with the carriers' own SDKs."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, ClassVar

import httpx2
import pytest
from alibabacloud_dysmsapi20170525 import models as aliyun_models
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111.models import SendSmsRequest
from tencentcloud.sms.v20210111.sms_client import SmsClient

from tests.support.sms import ACCOUNTS, operators_running

ACCOUNT = ACCOUNTS["tencent"]
PHONE = "13800005678"
TEXT = "【上海建筑业】您的动态密码为123456，24小时内有效，请勿向他人泄露。"

# the SDK's own, on Python 3.12 and later
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning")


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with operators_running(tmp_path_factory.mktemp("operator")) as endpoint:
        yield endpoint


def send(endpoint: str, secret_key: str = ACCOUNT["secret_key"], **changes: Any) -> list[dict[str, Any]]:
    """Calls SendSms with the SDK. Returns the status of each number."""
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=5))
    client = SmsClient(Credential(ACCOUNT["secret_id"], secret_key), "ap-shanghai", profile)
    request = SendSmsRequest()
    body = {
        "PhoneNumberSet": [f"+86{PHONE}"],
        "SmsSdkAppId": ACCOUNT["sdk_app_id"],
        "SignName": ACCOUNT["sign_name"],
        "TemplateId": "1000001",
        "TemplateParamSet": ["123456"],
        "SessionContext": "about-this",
    }
    request.from_json_string(json.dumps(body | changes))
    statuses: list[dict[str, Any]] = json.loads(client.SendSms(request).to_json_string())["SendStatusSet"]
    return statuses


def inbox(endpoint: str, phone: str = PHONE) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = httpx2.get(f"http://{endpoint}/inbox.json", params={"phone": phone}).json()
    return messages


def test_a_message_arrives_in_the_inbox_with_the_text_of_its_template(operator: str) -> None:
    [status] = send(operator)
    assert status["Code"] == "Ok"
    assert status["PhoneNumber"] == f"+86{PHONE}"
    assert status["SessionContext"] == "about-this"
    assert status["SerialNo"]
    newest = inbox(operator)[-1]
    assert (newest["text"], newest["phone"], newest["provider"]) == (TEXT, PHONE, "tencent")
    assert TEXT in httpx2.get(f"http://{operator}/").text


def test_a_wrong_signature_is_refused_as_a_whole(operator: str) -> None:
    before = len(inbox(operator))
    with pytest.raises(TencentCloudSDKException) as caught:
        send(operator, secret_key="another")
    assert caught.value.get_code() == "AuthFailure.SignatureFailure"
    assert len(inbox(operator)) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TemplateId": "9"}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({"SignName": "别家"}, "FailedOperation.SignatureIncorrectOrUnapproved"),
        ({"SmsSdkAppId": "1"}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ({"PhoneNumberSet": ["+8612345"]}, "InvalidParameterValue.IncorrectPhoneNumber"),
        ({"TemplateParamSet": ["12a456"]}, "InvalidParameterValue.TemplateParameterFormatError"),
        ({"TemplateParamSet": ["1234567"]}, "InvalidParameterValue.TemplateParameterFormatError"),
        ({"TemplateParamSet": []}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
    ],
)
def test_a_bad_message_fails_with_the_operators_own_code(operator: str, change: dict[str, Any], code: str) -> None:
    before = len(inbox(operator))
    [status] = send(operator, **change)
    assert status["Code"] == code
    assert status["SerialNo"] == ""
    assert len(inbox(operator)) == before


def test_one_bad_number_does_not_stop_the_others(operator: str) -> None:
    bad, good = send(operator, PhoneNumberSet=["+85212345678", "13900001111"])
    assert bad["Code"] == "InvalidParameterValue.IncorrectPhoneNumber"
    assert good["Code"] == "Ok"
    assert len(inbox(operator, "13900001111")) == 1


def test_the_inbox_outlives_a_restart_and_half_a_line(tmp_path: Path) -> None:
    with operators_running(tmp_path) as endpoint:
        send(endpoint)
    with (tmp_path / "inbox.jsonl").open("a") as file:
        file.write('{"at": "2026')
    with operators_running(tmp_path) as endpoint:
        send(endpoint)
        assert [message["text"] for message in inbox(endpoint)] == [TEXT, TEXT]
    with operators_running(tmp_path) as endpoint:
        assert len(inbox(endpoint)) == 2


def aliyun(endpoint: str, key_secret: str = ACCOUNTS["aliyun"]["access_key_secret"]) -> Client:
    key_id = ACCOUNTS["aliyun"]["access_key_id"]
    return Client(Config(access_key_id=key_id, access_key_secret=key_secret, endpoint=endpoint, protocol="HTTP"))


def send_by_aliyun(endpoint: str, **changes: Any) -> dict[str, Any]:
    body = {
        "phone_numbers": PHONE, "sign_name": ACCOUNTS["aliyun"]["sign_name"], "template_code": "SMS_100000001",
        "template_param": '{"code":"123456"}', "out_id": "about-this",
    }  # fmt: skip
    return dict(aliyun(endpoint).send_sms(aliyun_models.SendSmsRequest(**body | changes)).body.to_map())


def test_aliyuns_message_arrives_with_the_same_text(operator: str) -> None:
    answer = send_by_aliyun(operator)
    newest = inbox(operator)[-1]
    assert (answer["Code"], answer["BizId"]) == ("OK", newest["receipt"])
    assert (newest["text"], newest["provider"], newest["out_id"]) == (TEXT, "aliyun", "about-this")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template_code": "SMS_9"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"sign_name": "别家"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"phone_numbers": "12345"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"template_param": "{}"}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"template_param": '{"code":123456}'}, "isv.INVALID_JSON_PARAM"),
        ({"template_param": "code=1"}, "isv.INVALID_JSON_PARAM"),
        ({"template_param": '{"code":"1234567"}'}, "isv.PARAM_LENGTH_LIMIT"),
    ],
)
def test_aliyun_refuses_a_bad_message_by_its_own_code(operator: str, change: dict[str, Any], code: str) -> None:
    before = len(inbox(operator))
    assert send_by_aliyun(operator, **change)["Code"] == code
    assert len(inbox(operator)) == before


def test_aliyun_checks_the_signature_of_headers_and_query(operator: str) -> None:
    with pytest.raises(AlibabaCloudException) as caught:
        aliyun(operator, "another").send_sms(aliyun_models.SendSmsRequest(phone_numbers=PHONE))
    assert caught.value.code == "SignatureDoesNotMatch"
    answer = httpx2.post(f"http://{operator}/", headers={"x-acs-action": "SendSms"})
    assert (answer.status_code, answer.json()["Code"]) == (400, "IncompleteSignature")


def test_the_switches_work_for_programs_and_on_a_page_without_scripts(operator: str) -> None:
    url = f"http://{operator}"
    received = httpx2.post(f"{url}/behaviour", json={"provider": "aliyun", "mode": "money", "receipts": "lost"})
    good, bad = {"mode": "ok", "seconds": 3, "receipts": "on"}, {"mode": "money", "seconds": 3, "receipts": "lost"}
    assert received.json() == httpx2.get(f"{url}/behaviour").json() == {"tencent": good, "aliyun": bad}
    assert send_by_aliyun(operator)["Code"] == "isv.AMOUNT_NOT_ENOUGH"
    page = httpx2.get(url).text
    assert '<form method="post" action="/behaviour">' in page
    assert '<button name="mode" value="money" aria-pressed="true">' in page
    assert "<script" not in page
    clicked = httpx2.post(f"{url}/behaviour", data={"provider": "aliyun", "mode": "ok", "receipts": "on"})
    assert (clicked.status_code, clicked.headers["location"]) == (303, "/")
    assert send_by_aliyun(operator)["Code"] == "OK"
    for wrong in ({"provider": "nobody"}, {"provider": "aliyun", "mode": "dance"}, {"mode": "ok"}):
        assert httpx2.post(f"{url}/behaviour", json=wrong).status_code == 400


class ReceiptEndpoint(BaseHTTPRequestHandler):
    """The endpoint to which receipts are called back."""

    received: ClassVar["Queue[tuple[str, Any]]"] = Queue()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.received.put((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


def test_receipts_are_called_back_in_the_operators_own_form(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), ReceiptEndpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        there = f"http://127.0.0.1:{server.server_address[1]}"
        with operators_running(tmp_path, tencent=f"{there}/t", aliyun=f"{there}/a") as endpoint:
            [status], answer = send(endpoint), send_by_aliyun(endpoint)
            received = dict(ReceiptEndpoint.received.get(timeout=10) for _ in range(2))
        server.shutdown()
        thread.join()
    assert [(each["sid"], each["ext"], each["report_status"]) for each in received["/t"]] == [
        (status["SerialNo"], "about-this", "SUCCESS")
    ]
    assert [(each["biz_id"], each["out_id"], each["success"]) for each in received["/a"]] == [
        (answer["BizId"], "about-this", True)
    ]
