"""docs/deployment.md is true: it lists the existing settings, and the topics of topics.yaml."""

import json
import re

from pydantic.fields import FieldInfo

from kit.kafka.topics import read_file
from tests.support.installation import compose, dockerfile, processes
from tests.support.setting_names import ROOT, SERVICES, names_of, secret_names

COUNTED = re.compile(
    r"\b(?:ten|eleven|twelve|thirteen|fourteen|fifteen|\d+) (?:of our )?(?:processes|containers)\b"
    r"|[十\d][一二三四五六七八九]?个(?:进程|容器)"
)
PAGE = (ROOT / "docs/deployment.md").read_text()
Row = tuple[str, str, str]


def rows_by_settings() -> list[Row]:
    """Name, default, and the services that read it; a setting with two defaults has two rows."""
    readers: dict[tuple[str, str], list[str]] = {}
    for service in SERVICES:
        hidden = secret_names(service)
        for name, field in names_of(service).items():
            readers.setdefault((name, "secret" if name in hidden else shown(field)), []).append(service)
    return [(name, default, who(services)) for (name, default), services in readers.items()]


def shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory:
        return "`HOSTNAME`"
    if field.default in (None, ""):
        return "–"
    return f"`{field.default if isinstance(field.default, str) else json.dumps(field.default)}`"


def who(services: list[str]) -> str:
    others = [service for service in SERVICES if service not in services]
    if len(others) > 1:
        return ", ".join(services)
    return f"all but {others[0]}" if others else "all"


def rows_on_the_page() -> list[Row]:
    return re.findall(r"^\| `([A-Z_0-9]+)` \| ([^|]+) \| ([^|]+) \|", PAGE, re.MULTILINE)


def test_every_setting_is_on_the_page_with_its_default_and_its_readers() -> None:
    assert sorted(rows_on_the_page()) == sorted(rows_by_settings())


def test_every_kind_of_topic_is_on_the_page() -> None:
    listed = set(re.findall(r"`([*a-z]*\.[a-z.]+)`", PAGE.partition("## Topics")[2]))
    names = [topic.name for topic in read_file(ROOT / "deploy/topics.yaml")]
    unknown = [name for name in names if not any(name.endswith(each.removeprefix("*")) for each in listed)]
    assert listed
    assert not unknown


def test_it_names_the_processes_that_call_addresses_outside() -> None:
    (listed,) = re.findall(r"these call addresses outside: (.*?)\. ", PAGE)
    outside = {name for name, each in processes().items() if "outside" in each.networks}
    assert set(re.findall(r"`([\w-]+)`", listed)) == outside


def test_every_image_of_others_is_on_the_page_with_its_line() -> None:
    table = PAGE.partition("**New versions of other people's images.**")[2].partition("**A new service**")[0]
    listed = dict(re.findall(r"^\| `([\w/-]+)`[^|]*\| ([\d.]+) \|", table, re.MULTILINE))
    images = [each.given["image"] for each in compose().values() if not each.ours]
    images += [each.rest.partition("=")[2] for each in dockerfile() if each.rest.startswith("PYTHON=")]
    names = [re.sub(r"^(docker\.io|\$\{REGISTRY\})/(library/)?", "", image).partition(":") for image in images]
    used = {name: version.removeprefix("v") for name, _, version in names}
    assert listed.keys() == used.keys()
    assert [name for name, line in listed.items() if not f"{used[name]}.".startswith(f"{line}.")] == []


def test_no_page_has_counts_that_change() -> None:
    """Counts of processes and containers change: pages do without them."""
    pages = [ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").glob("*.md")]
    counted = {page.name: found for page in pages if (found := COUNTED.findall(page.read_text()))}
    assert counted == {}
