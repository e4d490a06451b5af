"""The list of windows: read from a file, shown on the help page (no stack needed)."""

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import services.portal
from deploy.local.stack import ROOT
from kit.http.pages import Templates
from kit.settings import read
from services.portal import wording
from services.portal.settings import ServiceWindow, Settings, read_windows

TEMPLATES = Path(services.portal.__file__).parent / "templates"
SAMPLES = ROOT / "deploy/local/windows.yaml"
DOCUMENTED = ROOT / "deploy/windows.yaml"
GOOD: dict[str, Any] = {
    "name": "受理窗口", "serves": ["cards"], "district": "示例区", "address": "示例路 1 号", "hours": "周一至周五",
    "phone": "021-0000 0001", "map": "https://map.example.cn/1",
}  # fmt: skip


def written(folder: Path, *entries: object) -> str:
    path = folder / "windows.yaml"
    path.write_text(yaml.safe_dump(list(entries), allow_unicode=True))
    return str(path)


def page(template: str, windows: list[ServiceWindow] | None, **values: object) -> str:
    templates = Templates(
        TEMPLATES, {"static": lambda name: f"/static/{name}", "windows": windows, **wording.NAMES}, wording.FILTERS
    )
    context = SimpleNamespace(session=None, home="/", path="/", return_path="/", csrf=lambda typed: "")
    return templates.render(template, {"context": context, "large": False, **values})


def test_the_samples_of_the_local_stack_are_marked_and_serve_every_document() -> None:
    windows = read_windows(str(SAMPLES))
    assert {each for window in windows for each in window.serves} == wording.WINDOW_SERVES.keys()
    assert all("演示数据" in window.name and window.phone.startswith("021-0000 000") for window in windows)


def test_the_file_to_copy_has_no_window_and_a_right_example(tmp_path: Path) -> None:
    assert read_windows(str(DOCUMENTED)) == []
    lines = DOCUMENTED.read_text().partition("#\n# - ")[2]
    example = tmp_path / "windows.yaml"
    example.write_text(re.sub("(?m)^# ", "", f"- {lines}").removesuffix("[]\n"))
    (window,) = read_windows(str(example))
    assert window.map.host == "map.example.cn"


def test_an_empty_file_has_no_window(tmp_path: Path) -> None:
    (tmp_path / "windows.yaml").write_text("# none yet")
    assert read_windows(str(tmp_path / "windows.yaml")) == []


@pytest.mark.parametrize("name", GOOD)
def test_an_entry_without_a_field_is_named(tmp_path: Path, name: str) -> None:
    lacking = {key: value for key, value in GOOD.items() if key != name}
    for entry in (lacking, GOOD | {name: ""}):
        with pytest.raises(ValueError, match=f"^window 2: {name}"):
            read_windows(written(tmp_path, GOOD, entry))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"map": "http://map.example.cn/1"}, "map: URL scheme should be 'https'"),
        ({"map": "javascript:hit()"}, "map: "),
        ({"map": "https://"}, "map: "),
        ({"phone": "call us"}, "phone: String should match pattern"),
        ({"phone": 2100000001}, "phone: Input should be a valid string"),
        ({"name": " "}, "name: String should have at least 1 character"),
        ({"serves": []}, "serves: Tuple should have at least 1 item"),
        ({"serves": ["horses"]}, "serves.0: Input should be 'cards' or 'documents'"),
        ({"fax": "021-0000 0001"}, "fax: Extra inputs are not permitted"),
        ({"fax": "1", "phone": "1"}, r"phone: .*; fax: "),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_wrong(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^window 2: {message}"):
        read_windows(written(tmp_path, GOOD, GOOD | wrong))


@pytest.mark.parametrize("text", ["name: 受理窗口", "- text", "- [", "- \x00"])
def test_a_file_that_is_no_list_of_windows_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "windows.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"list of windows|window 1|windows\.yaml|while parsing|not allowed"):
        read_windows(str(tmp_path / "windows.yaml"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The least that the portal needs."""
    seal = {"keys": {"k1": base64.b64encode(bytes(range(32))).decode()}, "current": "k1"}
    given = {"SERVICES": {"identity": "http://identity"}, "PROCESSES": {}, "SEAL": seal}
    for name, value in given.items():
        monkeypatch.setenv(name, json.dumps(value))
    for name, text in {"ENVIRONMENT": "local", "REDIS__URL": "redis://redis", "KAFKA__SERVERS": "kafka:9092"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("WINDOWS", raising=False)
    return monkeypatch


def test_the_portal_reads_the_file_at_its_start(environment: pytest.MonkeyPatch) -> None:
    assert read(Settings).windows is None
    environment.setenv("WINDOWS", str(SAMPLES))
    assert read(Settings).windows == tuple(read_windows(str(SAMPLES)))


def test_it_does_not_start_with_a_wrong_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("WINDOWS", written(tmp_path, GOOD, GOOD | {"map": "http://map.example.cn"}))
    with pytest.raises(SystemExit, match=r"\n  WINDOWS: Value error, window 2: map: URL scheme should be 'https'$"):
        read(Settings)
    environment.setenv("WINDOWS", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"WINDOWS: .*No such file"):
        read(Settings)


def test_the_help_page_lists_windows_by_district() -> None:
    text = page("help.html", read_windows(str(SAMPLES)))
    assert re.findall(r'rowgroup" colspan="4">(.*?)<', text) == ["示例一区", "示例二区"]
    assert 'href="tel:02100000001">021-0000 0001<' in text
    assert 'href="https://map.example.cn/1" target="_blank" rel="noopener"' in text
    assert "办理二代身份证；军官证" in text
    assert '<li><a href="#windows">' in text


def page_of_the_code(windows: list[ServiceWindow] | None) -> str:
    """A page that sends people to a window."""
    status = SimpleNamespace(over=False, wait=0, text="", tries_left=5)
    pending = SimpleNamespace(phone_hint="")
    return page("session/code.html", windows, problem="", code="", code_status=status, pending=pending)


def test_a_page_that_sends_people_to_a_window_links_to_the_list() -> None:
    assert '请到<a href="/help#windows">受理服务窗口</a>重新绑定' in page_of_the_code(read_windows(str(SAMPLES)))


@pytest.mark.parametrize("windows", [None, []])
def test_without_windows_no_page_links_to_them(windows: list[ServiceWindow] | None) -> None:
    assert "#windows" not in page("help.html", windows)
    assert 'id="windows"' not in page("help.html", windows)
    assert "请到受理服务窗口重新绑定" in page_of_the_code(windows)


def test_what_operators_write_is_escaped(tmp_path: Path) -> None:
    hostile = GOOD | dict.fromkeys(("name", "district", "address", "hours"), '"><script>hit()</script>')
    assert "<script>hit" not in page("help.html", read_windows(written(tmp_path, hostile)))
