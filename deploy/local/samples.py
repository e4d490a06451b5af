"""The demo person's records: the rows that the user guide shows in its chapter 5."""

from typing import Any

from deploy.local.people import card
from deploy.local.stackfile import DOCUMENT_NUMBER

PERSON = {
    "number": DOCUMENT_NUMBER,
    "name": "张伟",
    "ethnicity": "汉",
    "address": "上海市黄浦区示例路1号",
    "authority": "上海市公安局黄浦分局",
}

RECORDS: list[tuple[str, dict[str, Any]]] = [
    (
        "education",
        {
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
        },
    ),
    (
        "education",
        {
            "school": "test1",
            "level": "研究生",
            "length": "test1",
            "major": "test1",
            "principal": "test1",
            "start": "2013-12-01",
            "end": "2013-12-10",
            "certificate_no": "test1",
            "issued_on": "2013-12-10",
            "registration_no": "test1",
        },
    ),
    (
        "degree",
        {
            "school": "test1",
            "degree": "博士",
            "degree_name": "test1",
            "major": "test1",
            "committee_chair": "test1",
            "certificate_no": "test1",
            "issued_on": "2013-12-03",
        },
    ),
    (
        "title",
        {
            "title": "讲师",
            "major": "11",
            "committee": "12",
            "approved_on": "2014-03-24",
            "review_no": "13",
            "certificate_no": "14",
            "issuing_authority": "15",
            "seal_unit": "16",
        },
    ),
    (
        "skill_certificate",
        {
            "name": "12",
            "trade": "抹灰",
            "level": "中级",
            "certificate_no": "13",
            "issued_on": "2014-03-19",
            "valid_from": "2014-03-01",
            "valid_to": "2014-03-18",
            "issuing_authority": "14",
        },
    ),
    (
        "work_experience",
        {
            "employer": "1",
            "start": "2014-03-04",
            "end": None,
            "title": "相当于技术员",
            "position": "3",
            "field": "2",
        },
    ),
    (
        "work_experience",
        {
            "employer": "test1",
            "start": "2013-12-10",
            "end": "2013-12-26",
            "title": "讲师",
            "position": "test1",
            "field": "test1",
        },
    ),
]


def demo_card() -> dict[str, Any]:
    """Return the demo person's identity card as the window reads it."""
    return card(**PERSON)
