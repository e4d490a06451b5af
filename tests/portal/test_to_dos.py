"""The to-dos of the home page, and complete lists (no stack needed)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.portal.client.models import Kind, Record, RecordAttachment, Remark, Signature
from services.portal.domain import COLUMNS, ITEMS, columns_of, day, item_of, month_range, shown, to_dos
from services.portal.dossier.contents import tables_of
from services.portal.wording import device
from services.records.api import KIND_PAGE

KINDS = {kind["name"]: Kind.model_validate(kind) for kind in KIND_PAGE.model_dump(mode="json")["items"]}
TODAY = date(2026, 11, 24)
DONE = Signature(state="accepted")
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def record(kind: str, attachment: RecordAttachment | None = None, **data: Any) -> Record:
    fields = {"record_id": "r", "kind": kind, "version": 1, "source": None, "created_at": NOW, "updated_at": NOW}
    return Record.model_validate({**fields, "data": data, "attachment": attachment and attachment.model_dump()})


def scanned(state: str, *reasons: str) -> RecordAttachment:
    remarks = [Remark(code="x", message=reason) for reason in reasons]
    return RecordAttachment.model_validate(
        {"attachment_id": "a", "title": "t", "state": state, "reasons": [one.model_dump() for one in remarks]}
    )


def listed(*records: Record, signature: Signature | None = DONE) -> list[tuple[str, str]]:
    """The to-dos, except those for missing kinds of records."""
    everything = [record("education", scanned("accepted"), school="同济"), record("work_experience", employer="某")]
    return [(one.tone, one.text) for one in to_dos([*records, *everything], KINDS, signature, TODAY)]


def test_a_complete_dossier_has_no_to_dos() -> None:
    assert listed() == []


def test_an_empty_dossier_needs_education_work_and_signature() -> None:
    found = to_dos([], KINDS, Signature(state="none"), TODAY)
    assert [one.text for one in found] == ["还没有采集签名", "还没有填写学历证书", "还没有填写工作经历"]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-1, [("warn", "架子工证：已于 2026-11-23 到期")]),
        (0, [("warn", "架子工证：将于 2026-11-24 到期，还有 0 天")]),
        (90, [("warn", "架子工证：将于 2027-02-22 到期，还有 90 天")]),
        (91, []),
    ],
)
def test_a_certificate_that_expires_within_ninety_days_is_listed(days: int, expected: list[tuple[str, str]]) -> None:
    until = (TODAY + timedelta(days=days)).isoformat()
    assert listed(record("skill_certificate", scanned("accepted"), name="架子工证", valid_to=until)) == expected


@pytest.mark.parametrize(
    "text", ["2014-03-01", "20140301", "2014.3.1", "2014/3/01", " 2014年3月1日 ", "２０１４／３／１", "2014–03–01"]
)
def test_a_day_is_read_as_people_write_it(text: str) -> None:
    assert day(text) == "2014-03-01"


@pytest.mark.parametrize("text", ["", "2014", "2014-3", "201431", "14-03-01", "01/03/2014", "去年", "2014-03-01 8:00"])
def test_text_that_is_not_a_day_stays_as_typed(text: str) -> None:
    assert day(text) == text


def test_paging_one_table_keeps_the_page_of_the_other() -> None:
    records = [record("education") for _ in range(120)] + [record("degree") for _ in range(10)]
    kinds = [KINDS["education"], KINDS["degree"]]
    for turned, page, shown_pages in (("", 9, (1, 1)), ("education", 2, (2, 1)), ("education", 9, (3, 1)),
                                      ("degree", 2, (1, 1))):  # fmt: skip
        first, second = tables_of(records, kinds, turned, page)
        assert (first.page, second.page) == shown_pages
        assert (len(second.records), second.more) == (10, False)
        assert (len(first.records), first.more) == ((20, False) if first.page == 3 else (50, True))


def test_a_registration_without_an_end_does_not_expire() -> None:
    assert listed(record("registration", category="一级注册建造师", valid_until=None)) == []


def test_refused_scans_are_listed_first_with_their_reason() -> None:
    refused = record("title", scanned("refused", "图片过大"), title="工程师")
    bare = record("degree", school="同济")
    found = listed(bare, refused, signature=Signature(state="refused", reasons=[Remark(code="x", message="没有签名")]))
    assert found == [
        ("bad", "工程师：附件未通过，图片过大"),
        ("bad", "签名采集表未通过：没有签名"),
        ("wait", "同济：还没有上传附件"),
    ]


def test_two_hundred_records_without_a_scan_are_one_to_do() -> None:
    assert listed(*[record("degree", school="同济")] * 200) == [("wait", "200 份学位证书：还没有上传附件")]


def test_without_the_signature_service_there_is_no_to_do_for_signatures() -> None:
    assert listed(signature=None) == []


def test_every_kind_has_a_menu_item_and_every_field_a_column() -> None:
    assert [item.title for item in ITEMS] == [
        "个人基本信息", "学历证书信息", "职称信息", "注册信息", "技能培训证书信息",
        "工作经历", "工程业绩", "个人诚信记录", "个人签名信息",
    ]  # fmt: skip
    for kind in KINDS.values():
        shown_fields = {name for column in COLUMNS[kind.name] for name in column.fields}
        assert shown_fields == {field.name for field in kind.fields}
        assert item_of(kind.name) in ITEMS


def test_a_new_kind_is_listed_by_its_required_fields() -> None:
    new = KINDS["degree"].model_copy(update={"name": "award"})
    assert [column.fields for column in columns_of(new)] == [(field.name,) for field in new.fields]
    assert item_of("award").path == "/file/award"


def test_values_are_shown_as_the_guide_writes_them() -> None:
    work = record("work_experience", start="2014-03-04", end=None)
    assert shown(work, "end") == "至今"
    assert shown(record("registration", specialities=["建筑", "市政"]), "specialities") == "建筑、市政"
    assert shown(record("credit", nature="good"), "nature") == "良好"
    studied = record("education", start="2009-09-01", end="2013-07-01")
    assert month_range(studied, next(column for column in COLUMNS["education"] if column.range)) == "2009.09 – 2013.07"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/109.0 Safari/537.36",
            "Windows 电脑 · Chrome",
        ),
        ("Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Mobile MicroMessenger/8.0", "安卓手机 · 微信"),
        ("curl/8.0", "curl/8.0"),
        ("", "未知设备"),
    ],
)
def test_a_device_is_named_in_words(agent: str, words: str) -> None:
    assert device(agent) == words
