"""Import files as registers send them, and an API client that sends them and follows their progress."""

import csv
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from typing import Any

import httpx2
from openpyxl import Workbook

from deploy.local.people import random_card
from kit.security.tokens import Caller, TokenIssuer
from tests.support.identity_clients import bearer
from tests.support.names import own_name
from tests.support.waiting import eventually

RECORDS, IDENTITY = "/api/records/imports", "/api/identity/imports"
REGISTRATION = ["证件类型", "证件号码", "来源", "来源编号", "注册类别", "注册证书编号", "注册专业", "发证日期"]
ENDED = ("finished", "failed")


def registration(number: str, key: str, **changes: str) -> dict[str, str]:
    """A row of a register of registrations."""
    row = ["身份证", number, "注册系统", key, "一级注册建造师", f"沪1{key}", "建筑工程、市政公用工程", "2014-03-01"]
    return dict(zip(REGISTRATION, row, strict=True)) | changes


def person_row(**changes: str) -> dict[str, str]:
    """A row of a list of people."""
    card = random_card()
    return {
        "证件类型": "身份证", "证件号码": card["document_number"], "姓名": card["name"],
        "性别": "男" if card["sex"] == "male" else "女", "出生日期": card["birth_date"], "民族": card["ethnicity"],
        "住址": card["address"],
    } | changes  # fmt: skip


def as_csv(rows: list[dict[str, str]], encoding: str = "utf-8") -> bytes:
    written = StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode(encoding)


def as_xlsx(lines: list[list[Any]]) -> bytes:
    """A workbook of one sheet; the cells keep their types, including days and numbers."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for line in lines:
        sheet.append(line)
    made = BytesIO()
    book.save(made)
    return made.getvalue()


@dataclass
class Sender:
    """An API client that may send imports; `path` is the import endpoint."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    path: str = RECORDS
    name: str = field(default_factory=lambda: own_name("client"))
    scopes: frozenset[str] = frozenset({"imports:write", "practitioners:lookup", "records:read"})
    roles: frozenset[str] = frozenset()

    @property
    def headers(self) -> dict[str, str]:
        kind: Any = "staff" if self.roles else "client"
        return bearer(self.issuer.issue(Caller(self.name, kind, self.roles, self.scopes)))

    async def send(self, kind: str, content: bytes) -> httpx2.Response:
        return await self.http.post(f"{self.path}/{kind}", files={"file": ("x", content)}, headers=self.headers)

    async def started(self, kind: str, content: bytes) -> str:
        response = await self.send(kind, content)
        assert response.status_code == 202, response.text
        assert response.headers["Location"] == f"{self.path}/{response.json()['import_id']}"
        return str(response.json()["import_id"])

    async def look(self, import_id: str) -> httpx2.Response:
        return await self.http.get(f"{self.path}/{import_id}", headers=self.headers)

    async def progress(self, import_id: str) -> dict[str, Any]:
        response = await self.look(import_id)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def ended(self, import_id: str, within: float = 60) -> dict[str, Any]:
        """How the import ended."""

        async def over() -> dict[str, Any]:
            now = await self.progress(import_id)
            return now if now["state"] in ENDED else {}

        return await eventually(over, within, f"import {import_id} ends", pause=0.2)

    async def done(self, kind: str, content: bytes, within: float = 60) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """Sends a file and waits for its end. Returns the progress and the errors."""
        import_id = await self.started(kind, content)
        return await self.ended(import_id, within), await self.errors(import_id)

    async def errors(self, import_id: str) -> list[dict[str, str]]:
        response = await self.http.get(f"{self.path}/{import_id}/errors.csv", headers=self.headers)
        assert response.status_code == 200, response.text
        return list(csv.DictReader(StringIO(response.content.decode("utf-8-sig"))))


def counts(progress: dict[str, Any]) -> dict[str, int]:
    """The counts of rows by outcome, without zeros."""
    return {name: progress[f"rows_{name}"] for name in OUTCOMES if progress[f"rows_{name}"]}


OUTCOMES = ("created", "updated", "unchanged", "failed")
