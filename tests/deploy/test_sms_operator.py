"""The stand-in for the SMS operators, spoken to with the operator's own SDK."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
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
    """SendSms by the SDK; one status for each number."""
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
