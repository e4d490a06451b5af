"""Tables from people and programs, read as text."""

import datetime as dt

import pytest

from kit.core.text import day_as_written
from kit.formats.tabular import LOST_DIGITS, BadTable, Row, read, read_rows, template_csv, template_xlsx, write_csv
from tests.support.imports import as_xlsx


def rows(content: bytes) -> list[Row]:
    return list(read_rows(read(content).content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_is_read_in_every_encoding_and_format(encoding: str, delimiter: str, end: str) -> None:
    text = end.join([delimiter.join(line) for line in (["姓名", "住址"], ["𠮷野", ' "a\nb" '.strip()], [], ["x", ""])])
    table = read(text.encode(encoding))
    assert (table.header, table.rows) == (["姓名", "住址"], 2)
    assert list(read_rows(table.content)) == [Row(2, ["𠮷野", "a\nb"]), Row(4, ["x"])]


def test_characters_that_gb18030_has_moved_are_read_at_their_current_code_points() -> None:
    [row] = rows("姓名\n".encode("gb18030") + b"\xfe\x59\xa6\xd9\xa8\xbc")
    assert row.cells == ["\u9fb4\ufe10\u1e3f"]


def test_cells_of_a_workbook_become_the_text_as_typed() -> None:
    lines: list[list[object]] = [[], ["a", "b"], [1, 2.5], [None, None]]
    lines += [[True, dt.date(2014, 3, 1)], [dt.datetime(2014, 3, 1, 8), 10**15]]
    assert rows(as_xlsx(lines)) == [
        Row(3, ["1", "2.5"]),
        Row(5, ["是", "2014-03-01"]),
        Row(6, ["2014-03-01 08:00:00", LOST_DIGITS]),
    ]


def test_templates_have_the_titles_and_no_rows() -> None:
    assert template_csv(["甲", "乙"]).decode("utf-8-sig") == "甲,乙\r\n"
    for content in (template_csv(["甲", "乙"]), template_xlsx(["甲", "乙"], [("甲", "必填", "")])):
        with pytest.raises(BadTable, match="empty"):
            read(content)


def test_no_cell_is_a_formula() -> None:
    assert write_csv([["=1+1", "+1", "-1", "@x", "\tx", "好"]]) == "'=1+1,'+1,'-1,'@x,'\tx,好\r\n"


@pytest.mark.parametrize("text", ["2014-03-01", "2014/3/1", "2014.03.1", "20140301", "2014年3月1日", "2014年03月01"])
def test_a_day_is_read_in_every_format_of_tables(text: str) -> None:
    assert day_as_written(text) == "2014-03-01"


def test_text_that_is_not_a_day_is_unchanged() -> None:
    assert day_as_written("去年") == "去年"
