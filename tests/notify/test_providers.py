"""Each carrier's SDK against a simulated carrier: every response, and none, has an outcome."""

import logging
import socket
import time
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from deploy.local.people import random_phone
from deploy.local.sms_carrier.templates import ALIYUN_IDS, TENCENT_IDS
from kit.core.errors import Unavailable
from services.notify.domain import Accepted, NotSent, Refused, Sms, Unknown
from services.notify.providers.aliyun import Aliyun
from services.notify.providers.sdk_client import CarrierClient
from services.notify.providers.tencent import Tencent
from services.notify.settings import AliyunSettings, CarrierSettings, TencentSettings
from tests.support.names import own_id
from tests.support.sms import ACCOUNTS, PROVIDERS, Carriers

# the SDK's own, on Python 3.12 and later
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")


def provider(name: str, endpoint: str, **changes: object) -> CarrierClient:
    templates = {"tencent": TENCENT_IDS, "aliyun": ALIYUN_IDS}[name]
    kinds: dict[str, type[CarrierSettings]] = {"tencent": TencentSettings, "aliyun": AliyunSettings}
    common = {"endpoint": endpoint, "protocol": "http", "templates": templates, "receipts_token": "r" * 32}
    settings = kinds[name].model_validate(
        {**ACCOUNTS[name], **common, "connect_seconds": 0.5, "answer_seconds": 0.7, **changes}
    )
    return Tencent(settings) if isinstance(settings, TencentSettings) else Aliyun(settings)  # type: ignore[arg-type]


def sms(phone: str = "", purpose: str = "login_code") -> Sms:
    variables = ("123456",) if purpose == "login_code" else ()
    return Sms(phone or random_phone(), purpose, variables, own_id(), datetime.now(UTC))


by_provider = pytest.mark.parametrize("name", PROVIDERS)


@by_provider
@pytest.mark.parametrize("purpose", ["login_code", "certificate_rebound"])
async def test_a_message_arrives_under_our_own_id(name: str, purpose: str, endpoint: str, operators: Carriers) -> None:
    message = sms(purpose=purpose)
    outcome = await provider(name, endpoint).send(message)
    [arrived] = await operators.inbox(message.phone)
    assert outcome == Accepted(arrived["receipt"])
    assert (arrived["out_id"], arrived["provider"]) == (message.out_id, name)
    assert arrived["text"].startswith("【上海建筑业】您的")


@by_provider
@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("refuse", "configuration"),
        ("throttle", "throttled"),
        ("money", "money"),
        ("configuration", "configuration"),
    ],
)
async def test_a_refusal_means_that_nothing_was_sent(
    name: str, mode: str, reason: str, endpoint: str, operators: Carriers
) -> None:
    message = sms()
    await operators.behave(name, mode)
    outcome = await provider(name, endpoint).send(message)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert await operators.inbox(message.phone) == []


@by_provider
@pytest.mark.parametrize(("mode", "sent"), [("hang", 0), ("garbage", 1), ("cut", 1), ("delay", 1)])
async def test_an_invalid_response_is_an_unknown_outcome_and_nothing_is_sent_twice(
    name: str, mode: str, sent: int, endpoint: str, operators: Carriers
) -> None:
    message = sms()
    await operators.behave(name, mode, seconds=1.5)
    began = time.monotonic()
    assert isinstance(await provider(name, endpoint).send(message), Unknown)
    assert time.monotonic() - began < 1.4
    assert len(await operators.inbox(message.phone)) == sent


@by_provider
async def test_an_invalid_number_is_reported_as_such(name: str, endpoint: str) -> None:
    outcome = await provider(name, endpoint).send(sms("12345678901"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "bad_number"


@pytest.mark.parametrize(("name", "secret"), [("tencent", "secret_key"), ("aliyun", "access_key_secret")])
async def test_a_wrong_secret_is_a_configuration_error(
    name: str, secret: str, endpoint: str, operators: Carriers
) -> None:
    message = sms()
    outcome = await provider(name, endpoint, **{secret: SecretStr("another")}).send(message)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "configuration"
    assert await operators.inbox(message.phone) == []


@by_provider
async def test_an_unreachable_carrier_has_certainly_not_sent(name: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
        assert await provider(name, nobody).send(sms()) == NotSent()


@by_provider
async def test_a_refused_connection_has_certainly_not_sent(name: str) -> None:
    """A listener whose queue is full leaves a connection unanswered, as a firewall does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        began = time.monotonic()
        assert await provider(name, f"127.0.0.1:{full.getsockname()[1]}").send(sms()) == NotSent()
        assert time.monotonic() - began < 1.5


@by_provider
async def test_a_carrier_reports_the_state_of_a_message(name: str, endpoint: str, operators: Carriers) -> None:
    tested, good, bad = provider(name, endpoint), sms(), sms()
    await operators.behave(name, receipts="lost")
    assert isinstance(await tested.send(good), Accepted)
    await operators.behave(name, receipts="fail")
    assert isinstance(await tested.send(bad), Accepted)
    [delivered] = await tested.reports(good.phone, good.at)
    [lost] = await tested.reports(bad.phone, bad.at)
    assert (delivered.out_id, delivered.delivered) == (good.out_id, True)
    assert (lost.out_id, lost.delivered, lost.code) == (bad.out_id, False, "MK:0001")
    assert await tested.reports(random_phone(), good.at) == []


@by_provider
@pytest.mark.parametrize("mode", ["hang", "garbage", "cut"])
async def test_a_failed_query_does_not_mean_that_the_message_is_unknown(
    name: str, mode: str, endpoint: str, operators: Carriers
) -> None:
    await operators.behave(name, mode, seconds=1.5)
    with pytest.raises(Unavailable):
        await provider(name, endpoint).reports(random_phone(), datetime.now(UTC))


@by_provider
async def test_phone_and_code_are_never_logged_not_even_for_debugging(
    name: str, endpoint: str, operators: Carriers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    message = sms()
    for mode in ("ok", "refuse", "cut"):
        await operators.behave(name, mode)
        await provider(name, endpoint).send(message)
    assert message.phone not in caplog.text
    assert "123456" not in caplog.text
