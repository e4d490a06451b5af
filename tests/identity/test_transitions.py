"""Transitions of identity's documents in random order: each version is valid, and final states are final."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.sessions import EndReason
from kit.core.documents import Document
from services.identity.accounts.domain import END_REASONS, Client, Staff, TemporaryPassword
from services.identity.certificates.domain import BoundPhone, Certificate, PendingRebinding, Place, ReviewCause
from services.identity.erasures.domain import ErasureRequest
from services.identity.login.domain import Challenge, Delivery, Device, Session, WrongCodes
from services.identity.practitioners.domain import Particulars, Portrait, Practitioner
from tests.support.transitions import checked

D = TypeVar("D", bound=Document)
Step = Callable[[D, datetime], D]
NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)
BY = "staff:somebody"
quick = settings(max_examples=25, deadline=None, derandomize=True)
texts = st.text(max_size=6)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
lists = st.lists(texts, max_size=2)
particulars = st.builds(
    Particulars, keys=lists, number_indexes=lists, former_numbers_sealed=lists, card_read_at=st.none() | moments
)  # fmt: skip
portraits = st.builds(Portrait)
phones = st.builds(BoundPhone, place=st.builds(Place, number=st.integers(0, 2)))
reasons: st.SearchStrategy[EndReason] = st.sampled_from(get_args(EndReason))


def walk(data: st.DataObject, start: D, steps: Callable[[D], Mapping[str, Step[D]]], check: Callable[[D, D], D]) -> D:
    """Takes some of the possible `steps`, one after the other; runs `check` after each."""
    document = start
    for number in range(data.draw(st.integers(1, 6), "steps")):
        if not (possible := steps(document)):
            break
        name = data.draw(st.sampled_from(sorted(possible)), "step")
        document = check(document, possible[name](document, NOON + timedelta(minutes=number)))
    return document


def goes_on(before: D, after: D) -> D:
    """Checks that `after` is a valid next version of `before` whose history may omit fields. Returns it."""
    was, now = before.facts(), after.facts()
    assert after.version == before.version + 1
    assert set(after.changed) == {name for name in now if was[name] != now[name]}
    assert after.history[: len(before.history)] == before.history or after.history == before.history[:1]
    assert type(after).model_validate(after.model_dump(by_alias=True)) == after
    return after


@quick
@given(st.data())
def test_a_person_keeps_the_portrait_until_it_is_replaced(data: st.DataObject) -> None:
    known_as = data.draw(st.lists(particulars, min_size=2, max_size=2))

    def steps(_: Practitioner) -> Mapping[str, Step[Practitioner]]:
        new, portrait = data.draw(st.sampled_from(known_as)), data.draw(st.none() | portraits)
        return {
            "read_again": lambda known, at: known.read_again(new, portrait, at=at, by=BY),
            "imported_again": lambda known, at: known.imported_again(new, at=at, by=BY),
        }

    def check(before: Practitioner, after: Practitioner) -> Practitioner:
        if after.action == "changed":
            shown = {"folder", "portrait_key", "portrait_sha256", "portrait_came_as"}
            assert after.model_dump(include=shown) == before.model_dump(include=shown)
        assert after.portrait_key is not None or before.portrait_key is None
        return checked(before, after)

    first = Practitioner.registered("p", known_as[0], data.draw(st.none() | portraits), at=NOON, by=BY)
    assert walk(data, first, steps, check).id == "p"


@quick
@given(st.data())
def test_an_active_certificate_has_a_phone_and_a_pending_rebinding_ends_with_the_next_change(
    data: st.DataObject,
) -> None:
    waiting = st.builds(PendingRebinding, at=moments, until=moments, cause=st.sampled_from(get_args(ReviewCause)),
                        card_read_at=st.none() | moments, looked_up_at=st.none() | moments)  # fmt: skip

    def steps(known: Certificate) -> Mapping[str, Step[Certificate]]:
        phone, wait, number = data.draw(phones), data.draw(waiting), data.draw(texts)
        always: dict[str, Step[Certificate]] = {
            "rebinding_requested": lambda known, at: known.rebinding_requested(wait, at=at, by=BY),
            "rebinding_refused": lambda known, at: known.rebinding_refused(at=at, by=BY),
        }
        if known.state == "revoked":
            return always | {"issued": lambda known, at: known.issued_again(number, phone, at=at, by=BY)}
        return always | {
            "rebound": lambda known, at: known.rebound(phone, at=at, by=BY),
            "revoked": lambda known, at: known.revoked(at=at, by=BY),
        }

    def check(before: Certificate, after: Certificate) -> Certificate:
        assert (after.contact is None) == (after.state == "revoked")
        assert (after.waiting is not None) == (after.action == "rebinding_requested")
        assert after.action == "issued" or after.certificate_no == before.certificate_no
        return checked(before, after)

    walk(data, Certificate.issued("p", data.draw(texts), data.draw(phones), at=NOON, by=BY), steps, check)


@quick
@given(st.data())
def test_a_closed_challenge_stays_closed(data: st.DataObject) -> None:
    certificate = Certificate.issued("p", "SH1", data.draw(phones), at=NOON, by=BY)
    code = Challenge.requested(
        "c", data.draw(st.sampled_from(["login", "bind_phone", "confirm"])), certificate,
        phone_index="i", phone_hint="138****5678", session=data.draw(st.none() | texts),
        device=data.draw(st.none() | texts), code_hash="h", message="sealed", tries=data.draw(st.integers(1, 5)),
        wrong=WrongCodes(data.draw(st.integers(0, 90)), data.draw(st.none() | moments)),
        expires_at=NOON + timedelta(days=1), send_before=data.draw(moments), at=NOON, by=BY,
    )  # fmt: skip

    def steps(known: Challenge) -> Mapping[str, Step[Challenge]]:
        moment, delivery = data.draw(moments), data.draw(st.sampled_from(get_args(Delivery)))
        return {} if not known.open else {
            "resent": lambda known, at: known.resent(moment, at=at, by=BY),
            "delivered": lambda known, at: known.delivered(delivery, moment, at=at),
            "missed": lambda known, at: known.missed(at=at),
            "proved": lambda known, at: known.proved(at=at),
            "expired": lambda known, at: known.expired(at=at),
        }  # fmt: skip

    def check(before: Challenge, after: Challenge) -> Challenge:
        missed = before.tries_left - after.tries_left
        assert missed == after.wrong_in_a_row - before.wrong_in_a_row == (after.action in ("missed", "spent"))
        assert after.open == (after.message is not None) == (after.action not in ("spent", "used", "expired"))
        assert after.tries_left > 0 or not after.open
        assert after.used == (after.action == "used") == (after.state(NOON) == "used")
        assert after.open == (after.state(NOON) == after.delivery)
        assert after.state(after.expires_at) in ("used", "expired")
        return checked(before, after)

    walk(data, code, steps, check)


@quick
@given(st.data())
def test_a_session_keeps_its_owner_and_its_beginning(data: st.DataObject) -> None:
    first = Session.opened(
        "s", data.draw(st.sampled_from(["practitioner", "staff"])), "p", bound_to="b", secret_hash="h",
        address="1.2.3.4", device="d", known_device=data.draw(st.none() | texts), expires_at=NOON, at=NOON,
    )  # fmt: skip

    def steps(known: Session) -> Mapping[str, Step[Session]]:
        secret, until, proved = data.draw(texts), data.draw(moments), data.draw(st.none() | moments)
        reason = data.draw(reasons)
        return {} if known.ended else {
            "refreshed": lambda known, at: known.refreshed(secret, until, proved, at=at),
            "closed": lambda known, at: known.closed(reason, at=at),
        }  # fmt: skip

    def check(before: Session, after: Session) -> Session:
        assert after.proved_at is not None
        assert after.ended == (after.end_reason is not None) == (after.action == "ended")
        own = {"kind", "subject", "bound_to", "address", "device", "known_device"}
        assert after.model_dump(include=own) == before.model_dump(include=own)
        assert after.history[0].action == "opened"
        return goes_on(before, after)

    walk(data, first, steps, check)


@quick
@given(st.data())
def test_a_forgotten_device_stays_forgotten(data: st.DataObject) -> None:
    first = Device.remembered("d", "p", token_hash="h", bound_to="b", expires_at=NOON, at=NOON)

    def steps(_: Device) -> Mapping[str, Step[Device]]:
        bound_to, until = data.draw(texts), data.draw(moments)
        return {
            "used": lambda known, at: known.used(bound_to, until, at=at),
            "forgotten": lambda known, at: known.marked_forgotten(at=at),
        }

    def check(before: Device, after: Device) -> Device:
        assert after.forgotten == (before.forgotten or after.action == "forgotten")
        return goes_on(before, after)

    walk(data, first, steps, check)


@quick
@given(st.data())
def test_an_erased_person_stays_erased(data: st.DataObject) -> None:
    text = data.draw(texts)
    by_state: Mapping[str, Mapping[str, Step[ErasureRequest]]] = {
        "requested": {
            "approved": lambda known, at: known.approved(at + timedelta(days=3), at=at, by=BY),
            "stopped": lambda known, at: known.stopped(text, at=at, by=BY),
        },
        "approved": {
            "stopped": lambda known, at: known.stopped(text, at=at, by=BY),
            "carried_out": lambda known, at: known.carried_out("proof", "2026-11-24/0", at=at, by=BY),
        },
        "stopped": {"requested": lambda known, at: known.requested_again(text, at=at, by=BY)},
        "restored": {
            "confirmed": lambda known, at: known.confirmed(at=at, by=BY),
            "refuted": lambda known, at: known.refuted(text, at=at, by=BY),
        },
        "erased": {
            "repeated": lambda known, at: known.repeated(text, at=at, by=BY),
            "proved": lambda known, at: known.proved("proof", at=at, by=BY),
        },
    }

    def check(before: ErasureRequest, after: ErasureRequest) -> ErasureRequest:
        assert after.state == "erased" if before.state == "erased" else after.state != before.state
        assert after.last(after.action) == after.history[-1]
        assert (after.stop_reason is None) == (after.state != "stopped")
        assert after.state != "requested" or after.due_at is None
        return checked(before, after)

    asked = ErasureRequest.requested("p", text, at=NOON, by=BY)
    restored = ErasureRequest.restored("p", data.draw(st.none() | texts), at=NOON, by=BY)
    walk(data, data.draw(st.sampled_from([asked, restored])), lambda known: by_state[known.state], check)


@quick
@given(st.data())
def test_each_change_of_an_account_is_a_version_and_a_login_is_not(data: st.DataObject) -> None:
    def steps(_: Staff) -> Mapping[str, Step[Staff]]:
        text, roles, step = data.draw(texts), data.draw(st.lists(texts, max_size=2)), data.draw(st.integers(1, 9))
        made = data.draw(st.none() | st.builds(TemporaryPassword, until=moments))
        totp, enabled, passkeys = data.draw(st.none() | texts), data.draw(st.booleans()), data.draw(st.booleans())
        return {
            "logged_in": lambda known, at: known.logged_in(step, at=at),
            "replaced": lambda known, at: known.replaced(text, text, roles, at=at, by=BY),
            "switched": lambda known, at: known.switched(enabled=enabled, at=at, by=BY),
            "reset": lambda known, at: known.reset(made, totp, passkeys=passkeys, at=at, by=BY),
            "password_chosen": lambda known, at: known.password_chosen(text, "session", at=at, by=BY),
        }

    def check(before: Staff, after: Staff) -> Staff:
        if after.action == "logged_in":
            assert (after.credentials, after.history) == (before.credentials, before.history)
            return goes_on(before, after)
        assert after.credentials == before.credentials + 1
        assert (after.action, after.end_reason) in END_REASONS.items()
        assert (after.kept_session is not None) == (after.action == "password_changed")
        assert after.roles_now == ([] if after.password_until else after.roles)
        assert after.may_log_in(NOON) <= after.enabled
        return goes_on(before, after)

    walk(data, Staff.created("somebody", "h", "t", ["clerk"], at=NOON, by=BY), steps, check)


@quick
@given(st.data())
def test_a_client_keeps_its_previous_secret(data: st.DataObject) -> None:
    def steps(_: Client) -> Mapping[str, Step[Client]]:
        secret, scopes, until = data.draw(texts), data.draw(st.lists(texts, max_size=2)), data.draw(moments)
        enabled = data.draw(st.booleans())
        return {
            "replaced": lambda known, at: known.replaced(secret, scopes, until, at=at, by=BY),
            "switched": lambda known, at: known.switched(enabled=enabled, at=at, by=BY),
            "published": lambda known, at: known.published(at=at, by=BY),
        }

    def check(before: Client, after: Client) -> Client:
        assert after.told
        assert after.former_hash == (before.secret_hash if after.action == "changed" else before.former_hash)
        return checked(before, after)

    walk(data, Client.created("archive", "h", ["records:read"], at=NOON, by=BY), steps, check)


def test_unknown_fields_and_invalid_values_are_refused() -> None:
    certificate = Certificate.issued("p", "SH1", BoundPhone("i", "h", "c", Place(0, None)), at=NOON, by=BY)
    with pytest.raises(KeyError):
        certificate.next_version({"stat": "revoked"}, at=NOON, by=BY, action="revoked")
    with pytest.raises(KeyError):
        certificate.next_version({"version": 7}, at=NOON, by=BY, action="revoked")
    with pytest.raises(ValidationError):
        certificate.next_version({"state": "gone"}, at=NOON, by=BY, action="revoked")
