"""The kinds of record: the guide's samples are accepted, each rule refuses at its field."""

from datetime import date
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]
from pydantic import ValidationError

from services.records.domain import RecordData, parse_data
from services.records.kinds import KINDS

TODAY = date(2014, 4, 1)
Row = dict[str, Any]

EDUCATION: Row = {
    "school": "11",
    "level": "博士后",
    "length": "12",
    "major": "13",
    "principal": "14",
    "start": "2014-03-01",
    "end": "2014-03-12",
    "certificate_no": "15",
    "issued_on": "2014-03-25",
    "registration_no": "16",
}
DEGREE: Row = {
    "school": "1",
    "degree": "无学位",
    "degree_name": "2",
    "major": "3",
    "committee_chair": "4",
    "certificate_no": "5",
    "issued_on": "2013-12-01",
}
TITLE: Row = {
    "title": "讲师",
    "major": "11",
    "committee": "12",
    "approved_on": "2014-03-24",
    "review_no": "13",
    "certificate_no": "14",
    "issuing_authority": "15",
    "seal_unit": "16",
}
REGISTRATION: Row = {
    "category": "一级注册建造师",
    "certificate_no": "00234634",
    "specialities": ["建筑", "市政公用"],
    "valid_until": "2016-03-01",
    "issued_on": "2013-03-01",
    "status": "正常",
}
SKILL: Row = {
    "name": "12",
    "trade": "抹灰",
    "level": "中级",
    "certificate_no": "13",
    "issued_on": "2014-03-19",
    "valid_from": "2014-03-01",
    "valid_to": "2014-03-18",
    "issuing_authority": "14",
}
WORK: Row = {
    "employer": "1",
    "start": "2014-03-04",
    "end": None,
    "field": "2",
    "position": "3",
    "title": "相当于技术员",
}
PROJECT: Row = {
    "project_no": "1402PD0001",
    "project_name": "某住宅楼",
    "contract_type": "施工总包",
    "position": "项目经理",
    "speciality": "建筑",
}
CREDIT: Row = {
    "nature": "bad",
    "subject": "未按图施工",
    "authority": "市建设委员会",
    "decided_on": "2014-01-10",
    "published_until": "2014-07-10",
}
EXAMPLES = {
    "education": EDUCATION,
    "degree": DEGREE,
    "title": TITLE,
    "registration": REGISTRATION,
    "skill_certificate": SKILL,
    "work_experience": WORK,
    "project": PROJECT,
    "credit": CREDIT,
}
TEST1 = dict.fromkeys(("school", "length", "major", "principal", "certificate_no", "registration_no"), "test1")
GUIDE_ROWS = [
    ("education", EDUCATION),
    ("education", EDUCATION | TEST1 | {"level": "研究生", "start": "2013-12-01", "issued_on": "2013-12-10"}),
    ("education", EDUCATION | TEST1 | {"level": "博士", "start": "2013-12-01", "end": "2013-12-01"}),
    ("degree", DEGREE),
    ("degree", DEGREE | {"degree": "博士", "issued_on": "2013-12-03"}),
    ("degree", DEGREE | {"degree": "硕士学位", "issued_on": "2013-12-03"}),
    ("degree", DEGREE | {"degree": "相当高中毕", "issued_on": "2009-12-15"}),
    ("title", TITLE),
    ("skill_certificate", SKILL),
    ("work_experience", WORK),
    ("work_experience", WORK | {"start": "2013-12-10", "title": "技术员"}),
    ("work_experience", WORK | {"start": "2013-12-10", "end": "2013-12-26", "title": "讲师"}),
]


def parse(kind: str, row: Row) -> RecordData:
    return parse_data(KINDS[kind], row, TODAY)


def errors(kind: str, row: Row) -> list[tuple[str, str]]:
    """Field and code of every error."""
    with pytest.raises(ValidationError) as refused:
        parse(kind, row)
    return [(".".join(map(str, each["loc"])), each["type"]) for each in refused.value.errors()]


def messages(kind: str, row: Row) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        parse(kind, row)
    return [each["msg"] for each in refused.value.errors()]


def test_the_kinds_stand_in_the_order_of_the_guides_menu() -> None:
    assert [kind.title for kind in KINDS.values()] == [
        *("学历证书", "学位证书", "职称", "注册信息", "技能培训证书", "工作经历", "工程业绩", "个人诚信记录")
    ]
    assert list(KINDS) == list(EXAMPLES)


def test_only_kinds_kept_by_the_practitioner_can_be_written_and_have_a_scan() -> None:
    sources = {name for name, kind in KINDS.items() if kind.maintained_by == "source"}
    assert sources == {"registration", "project", "credit"}
    assert {name for name, kind in KINDS.items() if kind.attachment} == KINDS.keys() - sources - {"work_experience"}


@pytest.mark.parametrize(("kind", "row"), GUIDE_ROWS)
def test_every_row_of_the_guide_is_accepted_and_returned_unchanged(kind: str, row: Row) -> None:
    assert parse(kind, row).model_dump(mode="json") == row


@pytest.mark.parametrize("kind", KINDS)
def test_leaving_out_what_is_required_is_reported_for_every_field_at_once(kind: str) -> None:
    required = [field.name for field in KINDS[kind].fields() if field.required]
    assert errors(kind, {}) == [(name, "missing") for name in required]


@pytest.mark.parametrize("kind", KINDS)
def test_optional_fields_may_be_left_out_null_or_blank(kind: str) -> None:
    optional = [field.name for field in KINDS[kind].fields() if not field.required]
    bare = {name: value for name, value in EXAMPLES[kind].items() if name not in optional}
    blank = parse(kind, bare | dict.fromkeys(optional, " "))
    assert blank == parse(kind, bare)
    assert not any(blank.model_dump()[name] for name in optional)


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("education", {"end": "2014-02-28"}, ("end", "date_order")),
        ("education", {"issued_on": "2014-04-02"}, ("issued_on", "date_in_future")),
        ("education", {"start": "1899-12-31"}, ("start", "date_too_early")),
        ("education", {"level": "幼儿园"}, ("level", "unknown_term")),
        ("education", {"school": "大" * 201}, ("school", "string_too_long")),
        ("education", {"school": "  "}, ("school", "missing")),
        ("education", {"school": "同济\x00"}, ("school", "character_not_allowed")),
        ("education", {"school": 11}, ("school", "string_type")),
        ("education", {"school": {"$gt": ""}}, ("school", "string_type")),
        ("education", {"level": {"$ne": None}}, ("level", "string_type")),
        ("education", {"start": {"$gt": ""}}, ("start", "date_invalid")),
        ("education", {"$where": "1"}, ("$where", "extra_forbidden")),
        ("education", {"level": None}, ("level", "string_type")),
        ("degree", {"issued_on": "2014-04-02"}, ("issued_on", "date_in_future")),
        ("degree", {"degree": "博士后"}, ("degree", "unknown_term")),
        ("degree", {"committee_chair": "张\ue81e"}, ("committee_chair", "character_not_allowed")),
        ("title", {"approved_on": "2014-04-02"}, ("approved_on", "date_in_future")),
        ("title", {"title": "工程"}, ("title", "unknown_term")),
        ("registration", {"issued_on": "2014-04-02"}, ("issued_on", "date_in_future")),
        ("registration", {"category": "注册"}, ("category", "unknown_term")),
        ("registration", {"status": "正"}, ("status", "unknown_term")),
        ("registration", {"specialities": ["建筑"] * 11}, ("specialities", "too_long")),
        ("registration", {"specialities": ["建筑", {"$gt": ""}]}, ("specialities.1", "string_type")),
        ("registration", {"specialities": ["建筑", " "]}, ("specialities.1", "missing")),
        ("skill_certificate", {"valid_to": "2014-03-01"}, ("valid_to", "date_order")),
        ("skill_certificate", {"issued_on": "2014-04-02"}, ("issued_on", "date_in_future")),
        ("skill_certificate", {"trade": "抹墙"}, ("trade", "unknown_term")),
        ("skill_certificate", {"level": "中"}, ("level", "unknown_term")),
        ("education", {"issued_on": "2014-02-28"}, ("issued_on", "date_order")),
        ("education", {"start": "2014-04-02", "end": "2014-05-01"}, ("start", "date_in_future")),
        ("work_experience", {"end": "2014-03-03"}, ("end", "date_order")),
        ("work_experience", {"end": "2014-04-02"}, ("end", "date_in_future")),
        ("work_experience", {"start": "2014-04-02"}, ("start", "date_in_future")),
        ("work_experience", {"title": "经理"}, ("title", "unknown_term")),
        ("project", {"project_no": "1" * 33}, ("project_no", "string_too_long")),
        ("project", {"contract_type": "采购"}, ("contract_type", "unknown_term")),
        ("credit", {"nature": "良好"}, ("nature", "unknown_term")),
        ("credit", {"decided_on": "2014-04-02", "published_until": None}, ("decided_on", "date_in_future")),
        ("credit", {"published_until": "2014-01-09"}, ("published_until", "date_order")),
    ],
)
def test_a_broken_rule_is_reported_at_its_field(kind: str, change: Row, expected: tuple[str, str]) -> None:
    assert errors(kind, EXAMPLES[kind] | change) == [expected]


@pytest.mark.parametrize(
    "written",
    [
        *("2014-02-30", "2014-3-1", "20140301", "2014-W09-6", "2014-03-01T00:00:00", "2014-03-01 ", "２０１４-03-01"),
        *("至今", "", 20140301, 1393632000, 1.5, True, None, ["2014-03-01"], TODAY),
    ],
)
def test_a_date_has_one_form_only(written: object) -> None:
    assert errors("education", EDUCATION | {"issued_on": written}) == [("issued_on", "date_invalid")]


def test_the_limits_of_the_date_rules_themselves_are_accepted() -> None:
    parse("education", EDUCATION | {"start": "1900-01-01", "end": "1900-01-01", "issued_on": TODAY.isoformat()})
    parse("skill_certificate", SKILL | {"valid_to": "2014-03-02"})
    parse("credit", CREDIT | {"published_until": CREDIT["decided_on"]})


def test_errors_of_single_fields_and_across_fields_are_reported_in_one_go() -> None:
    row = EDUCATION | {"school": "", "level": "x", "end": "2014-02-01", "issued_on": "2099-01-01", "hidden": 1}
    assert errors("education", row) == [
        *(("school", "missing"), ("level", "unknown_term"), ("end", "date_order")),
        *(("issued_on", "date_in_future"), ("hidden", "extra_forbidden")),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_no_day_of_any_kind_is_before_the_year_of_birth(kind: str) -> None:
    days = [field.name for field in KINDS[kind].fields() if field.type == "date" and EXAMPLES[kind].get(field.name)]
    with_all = EXAMPLES[kind]
    parse_data(KINDS[kind], with_all, TODAY, birth_year=min([int(with_all[day][:4]) for day in days], default=0) - 14)
    if days:
        with pytest.raises(ValidationError) as refused:
            parse_data(KINDS[kind], with_all, TODAY, birth_year=2030)
        assert {str(each["loc"][0]) for each in refused.value.errors()} == set(days)


def test_an_employment_begins_at_fourteen_at_the_earliest_as_far_as_years_tell() -> None:
    for born, right in ((2000, True), (2001, False), (2015, False)):
        try:
            parse_data(KINDS["work_experience"], WORK, TODAY, born)
            assert right
        except ValidationError as refused:
            assert not right
            [error] = refused.errors()
            assert (error["loc"], error["type"] in ("date_too_young", "date_before_birth")) == (("start",), True)


def test_an_invalid_start_is_not_reported_at_the_end() -> None:
    assert errors("education", EDUCATION | {"start": "2014-02-30"}) == [("start", "date_invalid")]


def test_the_messages_name_the_remedy() -> None:
    row = SKILL | {"trade": "x", "issued_on": "2014-13-01", "valid_to": "2014-02-01"}
    assert messages("skill_certificate", row) == [
        "请从“专业工种”列表中选择一项",
        "请填写真实存在的日期，格式如 2014-03-01",
        "必须晚于有效期开始日期，请检查这两个日期",
    ]


def test_a_field_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValidationError):
        parse("education", EDUCATION | {"\ud800": "x"})


def test_a_name_of_a_hundred_characters_with_separator_and_astral_characters_is_kept_unchanged() -> None:
    name = "𠮷" * 60 + "·" + "買" * 39
    kept = parse("education", EDUCATION | {"principal": name}).model_dump(mode="json")
    assert kept["principal"] == name
    assert errors("education", EDUCATION | {"principal": name + "𠮷"}) == [("principal", "string_too_long")]


def test_names_of_people_get_the_one_separator_and_other_text_keeps_its_own() -> None:
    kept = parse("degree", DEGREE | {"committee_chair": "买买提•艾力", "school": "A•B"}).model_dump()
    assert (kept["committee_chair"], kept["school"]) == ("买买提·艾力", "A•B")


def test_data_is_not_changed_in_place() -> None:
    data: Any = parse("education", EDUCATION)
    with pytest.raises(ValidationError, match="frozen"):
        data.school = "x"


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_is_sound_and_accepts_what_the_service_accepts(kind: str) -> None:
    schema = KINDS[kind].schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(EXAMPLES[kind])
    assert not validator.is_valid(EXAMPLES[kind] | {"hidden": 1})
    assert not validator.is_valid({})


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_and_the_field_list_have_the_same_chinese_texts(kind: str) -> None:
    schema: Any = KINDS[kind].schema()
    fields = KINDS[kind].fields()
    assert schema["title"] == KINDS[kind].title
    assert schema["required"] == [field.name for field in fields if field.required]
    assert [field.title for field in fields] == [prop["title"] for prop in schema["properties"].values()]
    assert all(not field.title.isascii() for field in fields)


def test_a_field_has_the_description_that_a_form_needs() -> None:
    described = {field.name: field for field in KINDS["education"].fields()}
    types = {name: field.type for name, field in described.items()}
    assert types | {"school": "text", "level": "term", "principal": "name", "end": "date"} == types
    assert described["level"].code_table == "education_level"
    assert (described["registration_no"].required, described["registration_no"].max_length) == (False, 100)
    assert {field.name: field.type for field in KINDS["registration"].fields()}["specialities"] == "terms"
