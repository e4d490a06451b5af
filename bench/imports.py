"""Row: an import of 50,000 rows at the gateway, beside reading the same file and inserting the same documents bare."""

import asyncio
import csv
import time
from collections.abc import Iterator
from io import StringIO
from itertools import islice

import httpx2

from bench.stack import Stack
from bench.table import Row
from deploy.local.people import random_card
from kit.core.clock import SystemClock
from kit.core.ids import new_id
from kit.formats.tabular import read, read_rows

ROWS = 50_000
PEOPLE = 1_000
BATCH = 500
MOST_SECONDS = 60
WATCH_SECONDS = 0.25
RECORDS, IDENTITY = "/api/records/imports", "/api/identity/imports"
TITLES = (
    "证件类型", "证件号码", "来源", "来源编号", "注册类别", "注册证书编号",
    "注册专业", "发证单位", "发证日期", "所在企业名称", "证书状态",
)  # fmt: skip
LAST = ("建筑工程、市政公用工程", "上海市住房和城乡建设管理委员会", "2014-03-01", "上海某某建设集团有限公司", "正常")


async def rows(stack: Stack) -> list[Row]:
    """Send the same file twice: the second time it changes nothing."""
    people = [random_card() for _ in range(PEOPLE)]
    file = _registrations([str(card["document_number"]) for card in people], new_id())
    async with httpx2.AsyncClient(base_url=stack.file["gateway"], timeout=60) as http:
        loaded = await _seconds(http, stack, f"{IDENTITY}/practitioners", _list(people))
        first = await _seconds(http, stack, f"{RECORDS}/registration", file)
        again = await _seconds(http, stack, f"{RECORDS}/registration", file)
    bare = await _bare(stack, file)
    name = f"import of {ROWS:,} rows (read, and inserted bare, beside it)"
    texts = f"{first:.1f} s", f"{bare:.1f} s", f"≤ {MOST_SECONDS} s", f"{first:.1f} s, {first / bare:.1f} ×"
    figures: dict[str, object] = {"ours": first, "bare": bare, "again": again, "people": PEOPLE, "loaded": loaded}
    same = f"{again:.1f} s", f"{bare:.1f} s", f"≤ {MOST_SECONDS} s", f"{again:.1f} s"
    return [
        Row(name, *texts, first <= MOST_SECONDS, figures),
        Row("the same file again: nothing changes", *same, again <= MOST_SECONDS),
    ]


def _registrations(numbers: list[str], system: str) -> bytes:
    lines = [
        ("身份证", numbers[each % PEOPLE], system, f"K{each}", "一级注册建造师", f"沪1{each:012}", *LAST)
        for each in range(ROWS)
    ]
    return _csv([TITLES, *lines])


def _list(people: list[dict[str, object]]) -> bytes:
    titles = ("证件类型", "证件号码", "姓名", "性别", "出生日期")
    names = ("document_type", "document_number", "name", "sex", "birth_date")
    return _csv([titles, *(tuple(str(card[name]) for name in names) for card in people)])


def _csv(lines: list[tuple[str, ...]]) -> bytes:
    written = StringIO()
    csv.writer(written).writerows(lines)
    return written.getvalue().encode()


async def _seconds(http: httpx2.AsyncClient, stack: Stack, path: str, content: bytes) -> float:
    """Measure from the first byte sent to the end of the import; every row must be accepted."""
    headers = {"Authorization": f"Bearer {stack.staff_token('bench', 'admin')}"}
    began = time.perf_counter()
    response = await http.post(path, files={"file": ("rows.csv", content)}, headers=headers)
    address = response.raise_for_status().headers["Location"]
    while (now := (await http.get(address, headers=headers)).raise_for_status().json())["state"] != "finished":
        await asyncio.sleep(WATCH_SECONDS)
    if now["rows_failed"]:
        raise RuntimeError(f"{now['rows_failed']} rows failed")
    return time.perf_counter() - began


async def _bare(stack: Stack, file: bytes) -> float:
    """Read the file and insert a document with as many fields for each row, in batches, without validation."""
    began, now = time.perf_counter(), SystemClock().now()
    documents = (
        {"_id": new_id(), "version": 1, "created_at": now, "data": dict(zip(TITLES, row.cells, strict=True))}
        for row in read_rows(read(file).content)
    )
    async with stack.database("bench_imports") as database:
        for batch in _batches(documents):
            await database["records"].insert_many(batch, ordered=False)
        seconds = time.perf_counter() - began
        await database.client.drop_database("bench_imports")
    return seconds


def _batches(documents: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while batch := list(islice(documents, BATCH)):
        yield batch
