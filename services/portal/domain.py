"""The nine items of the menu (guide §5), the columns of their lists, and a person's to-dos."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.portal.client.models import Kind, Record, Signature, Value

EXPIRES_SOON = timedelta(days=90)
DAY = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})"
    r"|([0-9]{4})\s*[-–—./年]\s*([0-9]{1,2})\s*[-–—./月]\s*([0-9]{1,2})\s*日?"
)
UNTIL_TODAY = "至今"
OPEN_ENDED = {("work_experience", "end")}
"""Dates that may be left open: their form fields offer 至今."""
TERMS = {("credit", "nature"): {"good": "良好", "bad": "不良"}}
"""The text of terms whose code is shown otherwise."""
EXPIRY_FIELDS = {"skill_certificate": "valid_to", "registration": "valid_until"}
"""The field with the last day on which a record of a kind is valid."""


@dataclass(frozen=True)
class Column:
    """A column of a list: the fields that it shows, below each other or as a range."""

    title: str
    fields: tuple[str, ...]
    range: bool = False


@dataclass(frozen=True)
class Item:
    """An item of the menu; its page shows records of its kinds."""

    name: str
    title: str
    lead: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of its page."""
        return f"/file/{self.name}"


SCAN_LEAD = "先保存证书信息，再上传证书扫描件。每张证书只能上传一张附件。"
SOURCE_LEAD = "以下信息由来源单位维护，不能自行修改。如有出入，请点击“信息有误”。"
ITEMS = (
    Item("basic", "个人基本信息"),
    Item("education", "学历证书信息", SCAN_LEAD, ("education", "degree")),
    Item("title", "职称信息", SCAN_LEAD, ("title",)),
    Item("registration", "注册信息", SOURCE_LEAD, ("registration",)),
    Item("skill_certificate", "技能培训证书信息", SCAN_LEAD, ("skill_certificate",)),
    Item("work_experience", "工作经历", "仍在职的，结束时间请选“至今”。", ("work_experience",)),
    Item("project", "工程业绩", SOURCE_LEAD, ("project",)),
    Item("credit", "个人诚信记录", SOURCE_LEAD, ("credit",)),
    Item("signature", "个人签名信息"),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "education": (
        Column("学校名称 / 校(院)长", ("school", "principal")),
        Column("所学专业", ("major",)),
        Column("学历 / 学制", ("level", "length")),
        Column("起止年月", ("start", "end"), range=True),
        Column("发证日期", ("issued_on",)),
        Column("证书编号 / 电子注册号", ("certificate_no", "registration_no")),
    ),
    "degree": (
        Column("学校名称", ("school",)),
        Column("所学专业", ("major",)),
        Column("学位 / 学位名称", ("degree", "degree_name")),
        Column("学位评定委员会主席", ("committee_chair",)),
        Column("发证日期", ("issued_on",)),
        Column("证书编号", ("certificate_no",)),
    ),
    "title": (
        Column("职称 / 专业", ("title", "major")),
        Column("职称评审委员会全称", ("committee",)),
        Column("通过(批准)日期", ("approved_on",)),
        Column("评审编号 / 证书编号", ("review_no", "certificate_no")),
        Column("制(发)证机构 / 钢印单位全称", ("issuing_authority", "seal_unit")),
    ),
    "registration": (
        Column("注册类别 / 专业", ("category", "specialities")),
        Column("注册证书编号 / 执业印章号", ("certificate_no", "seal_no")),
        Column("发证单位 / 发证日期", ("issuing_authority", "issued_on")),
        Column("注册有效期", ("valid_until",)),
        Column("所在企业", ("employer", "employer_code")),
        Column("证书状态", ("status",)),
    ),
    "skill_certificate": (
        Column("证书名称", ("name",)),
        Column("证书编号", ("certificate_no",)),
        Column("发证机关", ("issuing_authority",)),
        Column("专业工种 / 级别", ("trade", "level")),
        Column("有效期起 / 有效期止", ("valid_from", "valid_to")),
        Column("发证日期", ("issued_on",)),
    ),
    "work_experience": (
        Column("工作单位", ("employer",)),
        Column("开始时间", ("start",)),
        Column("结束时间", ("end",)),
        Column("从事工作专业", ("field",)),
        Column("职务", ("position",)),
        Column("职称", ("title",)),
    ),
    "project": (
        Column("报建编号", ("project_no",)),
        Column("项目名称", ("project_name",)),
        Column("合同类型", ("contract_type",)),
        Column("担任职务", ("position",)),
        Column("专业名称", ("speciality",)),
    ),
    "credit": (
        Column("诚信性质", ("nature",)),
        Column("事由 / 内容", ("subject", "content")),
        Column("认定部门 / 决定文号", ("authority", "document_no")),
        Column("决定日期", ("decided_on",)),
        Column("公布截止日期", ("published_until",)),
    ),
}


def item_of(kind: str) -> Item:
    """The item that shows a kind of record; an unknown kind gets an item of its own."""
    return next((item for item in ITEMS if kind in item.kinds), Item(kind, kind, kinds=(kind,)))


def columns_of(kind: Kind) -> Sequence[Column]:
    """The columns of a kind's list; for an unknown kind its required fields."""
    required = tuple(Column(field.title, (field.name,)) for field in kind.fields if field.required)
    return COLUMNS.get(kind.name, required)


def shown(record: Record, field: str) -> str:
    """The value of a field as lists show it."""
    value = record.data.get(field)
    if value is None:
        return UNTIL_TODAY if (record.kind, field) in OPEN_ENDED else ""
    return "、".join(value) if isinstance(value, list) else TERMS.get((record.kind, field), {}).get(value, value)


def day(text: str) -> str:
    """A date in one of the usual notations (20140301, 2014.3.1, 2014年3月1日) as YYYY-MM-DD; other text unchanged."""
    found = DAY.fullmatch(unicodedata.normalize("NFKC", text).strip())
    return "{:0>4}-{:0>2}-{:0>2}".format(*filter(None, found.groups())) if found else text


def month_range(record: Record, column: Column) -> str:
    """`2009.09 – 2013.07`."""
    return " – ".join(_month(record.data.get(field)) or UNTIL_TODAY for field in column.fields)


def _month(value: Value) -> str:
    return value[:7].replace("-", ".") if isinstance(value, str) else ""


@dataclass(frozen=True)
class ToDo:
    """A to-do: its item, urgency (`bad`, `warn`, `wait`), text, and the path of the page where it is done."""

    item: Item
    tone: str
    text: str
    path: str


def to_dos(records: Iterable[Record], kinds: dict[str, Kind], signature: Signature | None, today: date) -> list[ToDo]:
    """What was refused, expires, or is missing; the most urgent first."""
    records = list(records)
    found = [one for record in records for one in _of_record(record, today)]
    found += _without_scan(records, kinds)
    found += _of_signature(signature) if signature else []
    found += [
        ToDo(item_of(name), "wait", f"还没有填写{kinds[name].title}", f"/file/{name}/new")
        for name in ("education", "work_experience")
        if name in kinds and all(record.kind != name for record in records)
    ]
    return sorted(found, key=lambda one: ("bad", "warn", "wait").index(one.tone))


def _of_record(record: Record, today: date) -> Iterable[ToDo]:
    item = item_of(record.kind)
    path = f"/records/{record.record_id}"
    name = label(record)
    if record.attachment and record.attachment.state == "refused":
        reasons = "；".join(reason.message for reason in record.attachment.reasons)
        yield ToDo(item, "bad", f"{name}：附件未通过，{reasons}", f"{path}#attachment")
    until = valid_until(record)
    if until and until < today:
        yield ToDo(item, "warn", f"{name}：已于 {until} 到期", item.path)
    elif until and until <= today + EXPIRES_SOON:
        yield ToDo(item, "warn", f"{name}：将于 {until} 到期，还有 {(until - today).days} 天", item.path)


def _without_scan(records: Sequence[Record], kinds: dict[str, Kind]) -> Iterable[ToDo]:
    """One to-do for each kind: a person may have two hundred records."""
    for kind in kinds.values():
        missing = [record for record in records if record.kind == kind.name and record.attachment is None]
        if kind.attachment and missing:
            some = f"{len(missing)} 份{kind.title}" if len(missing) > 1 else label(missing[0])
            yield ToDo(item_of(kind.name), "wait", f"{some}：还没有上传附件", item_of(kind.name).path)


def _of_signature(signature: Signature) -> Iterable[ToDo]:
    item = ITEMS[-1]
    if signature.state == "refused":
        reasons = "；".join(reason.message for reason in signature.reasons)
        yield ToDo(item, "bad", f"签名采集表未通过：{reasons}", item.path)
    elif signature.state == "none":
        yield ToDo(item, "wait", "还没有采集签名", item.path)


def label(record: Record) -> str:
    """A short name of a record, for sentences."""
    names = ("school", "name", "category", "employer", "project_name", "subject", "title")
    return next((text for name in names if (text := shown(record, name))), "记录")


def valid_until(record: Record) -> date | None:
    """The last day on which a record is valid, if it expires."""
    value = record.data.get(EXPIRY_FIELDS.get(record.kind, ""))
    return date.fromisoformat(value) if isinstance(value, str) else None


PHOTO_BYTES = 100 * 1024
"""Identity's limit for portraits, which the page shows."""
