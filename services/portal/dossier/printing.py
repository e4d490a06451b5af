"""The content of the PDF with all of a person's data; its layout is print/dossier.typ."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import JsonValue

from contracts.identity import DOCUMENT_TITLES
from services.portal.client.models import AccessEntry, Certificate, Kind, Practitioner, Record, Session
from services.portal.domain import shown
from services.portal.dossier.contents import Dossier
from services.portal.wording import ACCESSED, ATTACHMENT_STATES, CERTIFICATE_STATES, ROLES, SEXES, device, moment

Facts = list[tuple[str, str]]


def document(
    dossier: Dossier, person: Practitioner, certificate: Certificate | None, sessions: Sequence[Session],
    accesses: Sequence[AccessEntry], at: datetime,
) -> dict[str, JsonValue]:  # fmt: skip
    """The data of the template: title, footer, and sections of entries, which are lists of (name, value)."""
    sections = [
        _section("个人基本信息", [_basic(person)]),
        _section("个人数字证书", [_certificate(certificate)] if certificate else []),
        *(_section(kind.title, _records(dossier.records, kind)) for kind in dossier.kinds.values()),
        _section("个人签名信息", _signature(dossier)),
        _section("登录设备", [_session(one) for one in sessions]),
        _section("查阅记录", [_access(one) for one in accesses]),
    ]
    return {"title": "个人从业信息", "footer": f"{person.name} · {moment(at)} 生成", "sections": sections}


def _section(title: str, entries: Iterable[Facts]) -> JsonValue:
    filled: list[JsonValue] = [[[name, value] for name, value in facts if value] for facts in entries]
    return {"title": title, "entries": filled}


def _basic(person: Practitioner) -> Facts:
    until = "长期" if person.long_term else str(person.valid_to or "")
    return [
        ("姓名", person.name), ("姓名（拉丁字母）", person.name_latin or ""), ("民族", person.ethnicity or ""),
        ("国籍", person.nationality or ""), ("证件类型", DOCUMENT_TITLES.get(person.document_type, "")),
        ("公民证件号码", person.document_number), ("性别", SEXES.get(person.sex, "")),
        ("出生日期", str(person.birth_date)), ("签发机关", person.authority or ""),
        ("有效期限", f"{person.valid_from or ''} – {until}"), ("家庭住址", person.address or ""),
    ]  # fmt: skip


def _certificate(certificate: Certificate) -> Facts:
    return [
        ("证书编号", certificate.certificate_no), ("绑定的手机号码", certificate.phone_hint),
        ("状态", CERTIFICATE_STATES[certificate.state][1]), ("申领时间", moment(certificate.created_at)),
        ("最近变更", moment(certificate.updated_at)),
    ]  # fmt: skip


def _records(records: Iterable[Record], kind: Kind) -> Iterable[Facts]:
    for record in records:
        if record.kind == kind.name:
            facts = [(field.title, shown(record, field.name)) for field in kind.fields]
            yield [*facts, ("附件", _attachment(record)), ("来源", record.source.system if record.source else "")]


def _attachment(record: Record) -> str:
    attachment = record.attachment
    return f"{attachment.title}（{ATTACHMENT_STATES[attachment.state][1]}）" if attachment else ""


def _signature(dossier: Dossier) -> Iterable[Facts]:
    if dossier.signature and dossier.signature.accepted:
        yield [("通过时间", moment(dossier.signature.accepted.accepted_at))]


def _session(session: Session) -> Facts:
    return [
        ("设备", device(session.device)), ("网络地址", session.address),
        ("登录时间", moment(session.created_at)), ("最近使用", moment(session.used_at)),
    ]  # fmt: skip


def _access(access: AccessEntry) -> Facts:
    return [
        ("时间", moment(access.at)), ("查阅人", f"{ROLES.get(access.role, access.role)} {access.who}"),
        ("查阅内容", ACCESSED.get(access.what, access.what)), ("原因", access.reason),
    ]  # fmt: skip
