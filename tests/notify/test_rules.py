"""Rules for messages without I/O: the meaning of responses, the circuit breaker, the length of an SMS."""

from dataclasses import dataclass

import pytest

from deploy.local.sms_carrier.templates import ALIYUN, ALIYUN_IDS, TENCENT, TENCENT_IDS
from services.notify.domain import (
    NotSent,
    Outcome,
    Reason,
    Refused,
    Unknown,
    is_faulty,
    may_try_next_carrier,
    outcome_of,
    pause_seconds,
)
from services.notify.providers import aliyun, tencent
from services.notify.providers.breaker import Breaker
from services.notify.requests import MOVED, NOTICES
from services.notify.templates import CATALOGUE, MAX_SIGNATURE_LENGTH, ONE_SMS


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("LimitExceeded.PhoneNumberThirtySecondLimit", "throttled"),
        ("LimitExceeded.PhoneNumberOneHourLimit", "throttled"),
        ("LimitExceeded.PhoneNumberDailyLimit", "throttled"),
        ("LimitExceeded.PhoneNumberSameContentDailyLimit", "throttled"),
        ("LimitExceeded.DeliveryFrequencyLimit", "throttled"),
        ("LimitExceeded.AppDailyLimit", "overloaded"),
        ("InvalidParameterValue.IncorrectPhoneNumber", "bad_number"),
        ("FailedOperation.PhoneNumberInBlacklist", "opted_out"),
        ("FailedOperation.SignatureIncorrectOrUnapproved", "configuration"),
        ("FailedOperation.TemplateIncorrectOrUnapproved", "configuration"),
        ("AuthFailure.SignatureFailure", "configuration"),
        ("InternalError.RequestTimeException", "configuration"),
        ("FailedOperation.InsufficientBalanceInSmsPackage", "money"),
        ("UnauthorizedOperation.ServiceSuspendDueToArrears", "money"),
    ],
)
def test_tencents_codes_have_a_reason(code: str, reason: str) -> None:
    outcome = outcome_of(code, tencent.REASONS)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.code) == (reason, code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("isv.BUSINESS_LIMIT_CONTROL", "throttled"),
        ("Throttling.User", "overloaded"),
        ("isv.MOBILE_NUMBER_ILLEGAL", "bad_number"),
        ("isv.SMS_SIGNATURE_ILLEGAL", "configuration"),
        ("isv.SMS_TEMPLATE_ILLEGAL", "configuration"),
        ("isv.TEMPLATE_MISSING_PARAMETERS", "configuration"),
        ("isv.INVALID_JSON_PARAM", "configuration"),
        ("SignatureDoesNotMatch", "configuration"),
        ("isv.AMOUNT_NOT_ENOUGH", "money"),
        ("isv.OUT_OF_SERVICE", "money"),
    ],
)
def test_aliyuns_codes_have_a_reason(code: str, reason: str) -> None:
    outcome = outcome_of(code, aliyun.REASONS)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.code) == (reason, code)


@pytest.mark.parametrize(
    "code", ["InternalError.Timeout", "InternalError.SendAndRecvFail", "isp.SYSTEM_ERROR", "ServiceUnavailable", ""]
)
def test_an_ambiguous_code_is_no_proof_that_nothing_was_sent(code: str) -> None:
    for reasons in (tencent.REASONS, aliyun.REASONS):
        assert outcome_of(code, reasons) == Unknown(code)


@pytest.mark.parametrize(
    ("outcome", "goes_elsewhere", "is_ill"),
    [
        (NotSent(), True, True),
        (Unknown("x"), False, True),
        (Refused("throttled", "x"), True, False),
        (Refused("overloaded", "x"), True, True),
        (Refused("configuration", "x"), True, False),
        (Refused("money", "x"), True, True),
        (Refused("bad_number", "x"), False, False),
        (Refused("opted_out", "x"), False, False),
    ],
)
def test_the_next_step_for_each_outcome(outcome: Outcome, goes_elsewhere: bool, is_ill: bool) -> None:
    assert (may_try_next_carrier(outcome), is_faulty(outcome)) == (goes_elsewhere, is_ill)


def test_pauses_grow_and_a_code_never_waits_long() -> None:
    def pause(attempts: int, *, code: bool, reason: Reason = "money", all_tried: bool = True) -> float:
        return pause_seconds(code=code, attempts=attempts, outcome=Refused(reason, "x"), all_tried=all_tried)

    codes = [pause(attempts, code=True) for attempts in range(0, 40, 2)]
    assert codes == sorted(codes)
    assert (codes[0], codes[-1]) == (1, 10)
    assert pause(400, code=False) == 600
    assert pause(2, code=True, reason="throttled") == 60
    assert pause(2, code=True, reason="throttled", all_tried=False) == 0.5, "the other one was only busy"
    assert pause(400, code=False, all_tried=False) == 600


@dataclass
class Time:
    """A monotonic clock that the test advances."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def breaker(time: Time) -> Breaker:
    return Breaker(open_seconds=5, slow_seconds=1, max_calls=3, now=time)


def test_a_breaker_opens_at_a_failure_and_closes_after_a_successful_probe() -> None:
    time = Time()
    tested = breaker(time)
    tested.end(tested.begin(), succeeded=False)
    assert (tested.state, tested.allows()) == ("open", False)
    time.seconds += 5
    assert (tested.state, tested.allows()) == ("half_open", True)
    probe = tested.begin()
    assert not tested.allows(), "one probe at a time"
    tested.end(probe, succeeded=True)
    assert (tested.state, tested.allows()) == ("closed", True)


def test_a_probe_that_fails_opens_it_again() -> None:
    time = Time()
    tested = breaker(time)
    tested.end(tested.begin(), succeeded=False)
    time.seconds += 5
    tested.end(tested.begin(), succeeded=False)
    assert not tested.allows()
    time.seconds += 5
    assert tested.allows()


def test_the_success_of_an_earlier_call_does_not_close_the_breaker() -> None:
    time = Time()
    tested = breaker(time)
    early = tested.begin()
    tested.end(tested.begin(), succeeded=False)
    tested.end(early, succeeded=True)
    assert tested.state == "open"


def test_a_hanging_call_diverts_the_others_and_is_not_cancelled() -> None:
    time = Time()
    tested = breaker(time)
    hanging = tested.begin()
    assert tested.allows()
    time.seconds += 1.1
    assert (tested.state, tested.allows()) == ("closed", False)
    tested.end(hanging, succeeded=True)
    assert tested.allows()


def test_no_more_calls_than_there_are_threads() -> None:
    tested = breaker(Time())
    for _ in range(3):
        assert tested.allows()
        tested.begin()
    assert not tested.allows()


@pytest.mark.parametrize("purpose", CATALOGUE)
def test_every_text_fits_into_one_sms_with_the_longest_signature_and_variables(purpose: str) -> None:
    template = CATALOGUE[purpose]
    text = template.text.format(**dict.fromkeys(template.names, "0" * 6))
    assert len(f"【{'签' * MAX_SIGNATURE_LENGTH}】{text}") <= ONE_SMS


@pytest.mark.parametrize("variables", [["1234567"], ["12a456"], ["１２３"], [], ["1", "2"]])
def test_a_code_template_takes_up_to_six_digits_and_nothing_else(variables: list[str]) -> None:
    assert not CATALOGUE["login_code"].accepts(variables)
    assert CATALOGUE["login_code"].accepts(["012345"])


def test_what_the_operators_approved_is_what_the_catalogue_says() -> None:
    for purpose, template in CATALOGUE.items():
        for approved in (TENCENT[TENCENT_IDS[purpose]], ALIYUN[ALIYUN_IDS[purpose]]):
            assert (approved.text, tuple(approved.names), approved.code) == (
                template.text, template.names, template.code,
            )  # fmt: skip
    codes = ("login_code", "bind_code", "confirm_code")
    others = {"scan_refused", "signature_refused", "erasure_requested"}
    assert {*NOTICES.values(), MOVED, *codes, *others} == CATALOGUE.keys()
