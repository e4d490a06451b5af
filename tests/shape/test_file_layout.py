"""Where files belong: the files of each service and of the kit, imports of stores and domains, the length of files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
STANDARD = {
    "__init__.py", "__main__.py", "settings.py", "domain.py", "store.py", "service.py", "api.py", "consumers.py",
    "publications.py", "migrations.py", "wiring/",
}  # fmt: skip
OWN = {
    "attachments": {
        "checks.py": "the check of an uploaded scan, which the worker does",
        "corrections.py": "photos made into scans, for browsers that can't do it",
        "known_records.py": "what records' events say of records",
    },
    "identity": {
        "accounts/": "staff and API clients",
        "approvals/": "requests that a second admin approves",
        "audit/": "the audit trail",
        "captcha/": "captchas",
        "certificates/": "digital certificates",
        "erasures/": "erasures",
        "login/": "log-in by SMS code, and sessions",
        "practitioners/": "people: registered, found, shown",
        "metrics.py": "what identity counts",
        "keys.py": "how identity's data are encrypted and found, in every package",
        "throttle.py": "limits of what may be tried, in every package",
        "rotation.py": "the command that encrypts everything with the current keys",
    },
    "notify": {
        "providers/": "the carriers, a file each",
        "requests.py": "events that ask for a message",
        "sender.py": "the way of a message to a carrier",
        "receipts.py": "what carriers report of it",
        "metrics.py": "what notify counts",
        "templates.py": "texts of messages",
        "encryption.py": "how phones and texts are encrypted",
    },
    "portal": {
        "client/": "calls to the other services",
        "session/": "sessions of browsers, and requests as pages see them",
        "dossier/": "a practitioner's dossier",
        "window/": "the window's work",
        "operations/": "what operators see",
        "pages/": "the pages, a package for each of these",
        "wording.py": "words and formats of all pages",
        "metrics.py": "what the portal counts",
        "templates/": "the pages' templates, in the same groups",
        "static/": "style, scripts and pictures of the pages",
        "print/": "the template of the dossier as PDF",
    },
    "records": {
        "kinds/": "the kinds of record, a file each",
        "disputes/": "disputes of records that sources keep",
        "code_tables/": "the terms of coded fields",
        "imports.py": "what a row of an import becomes",
        "people.py": "identity, asked whose document a row names",
    },
    "signature": {
        "sheets/": "the signature sheet: made, laid out, printed",
        "checks.py": "the check of a signed form, which the worker does",
        "people.py": "what identity's events say of people",
    },
    "subscriptions": {
        "feed/": "the change feed",
        "webhooks/": "webhooks and their deliveries",
        "metrics.py": "what subscriptions counts",
        "feed_events.py": "an event as both pass it on",
        "readers.py": "readers of the topic, shared by both",
    },
}
PURE = {
    "identity": {"practitioners.identity_documents", "practitioners.registration", "practitioners.portrait_folders"},
    "notify": {"templates"},
    "portal": {"client.models"},
}
"""Modules beside `domain` that stores and domains may import, in their service."""
MOST_LINES = {"bench": 400, "contracts": 400, "deploy": 400, "examples": 400, "kit": 400, "services": 400, "tests": 600}


def files(folder: Path, pattern: str = "*") -> Iterator[Path]:
    return (path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)


def first_part(path: Path, folder: Path) -> str:
    """The file or directory (`name/`) of `folder` that is, or contains, `path`."""
    first, *rest = path.relative_to(folder).parts
    return f"{first}/" if rest else first


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_kit_has_packages_and_two_modules() -> None:
    loose = {first_part(path, ROOT / "kit") for path in files(ROOT / "kit", "*.py")}
    assert {each for each in loose if not each.endswith("/")} == {"__init__.py", "redis.py", "settings.py"}


def test_each_service_is_listed() -> None:
    assert {path.parent.name for path in SERVICES.glob("*/__main__.py")} == set(OWN)


@pytest.mark.parametrize("service", OWN)
def test_a_service_has_the_standard_files_and_what_is_listed(service: str) -> None:
    found = {first_part(path, SERVICES / service) for path in files(SERVICES / service)}
    assert found - STANDARD == set(OWN[service])
    assert {"__init__.py", "__main__.py", "settings.py", "wiring/", "domain.py"} <= found


def test_each_package_has_a_docstring() -> None:
    packages = {path.parent for path in files(SERVICES, "*.py")} - {SERVICES}
    assert not [one for one in packages if not ast.get_docstring(ast.parse((one / "__init__.py").read_text("utf-8")))]


@pytest.mark.parametrize("service", OWN)
def test_stores_and_domains_import_only_domains_of_their_service(service: str) -> None:
    package = f"services.{service}."
    allowed = {package + name for name in PURE.get(service, ())}
    wrong = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in files(SERVICES / service, "*.py")
        if path.name in ("store.py", "domain.py")
        for module in imported(path)
        if module.startswith(package) and module not in allowed and not module.endswith(".domain")
    ]
    assert not wrong


def test_pages_and_their_templates_have_the_same_groups() -> None:
    pages, groups = SERVICES / "portal/pages", SERVICES / "portal/templates"
    rooms = {path.parent.name for path in pages.glob("*/__init__.py")}
    assert {path.parent.name for path in groups.glob("*/*.html")} == rooms
    wrong = [
        f"{path.relative_to(ROOT)}: {group}"
        for room in rooms
        for path in files(pages / room, "*.py")
        for group in re.findall(r'"(\w+)/\w+\.html"', path.read_text("utf-8"))
        if group != room
    ]
    assert not wrong


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): (len(path.read_text("utf-8").splitlines()), most)
        for folder, most in MOST_LINES.items()
        for path in files(ROOT / folder, "*.py")
    }
    assert not {name: lines for name, (lines, most) in lengths.items() if lines > most}
