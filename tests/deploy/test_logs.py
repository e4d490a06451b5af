"""The log shipper and the log receiver, as they are deployed, on files that are written and renamed as Docker does."""

import asyncio
import gzip
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx2
import pytest

from deploy.access.authority import Authority
from deploy.logs import relp
from deploy.logs.receiver import tidy
from deploy.logs.settings import Receiving
from tests.support.processes import free_port
from tests.support.setting_names import ROOT
from tests.support.waiting import eventually

SITE = "portal.example.cn"
TIME = "2026-11-30T02:31:58.330123456Z"
RECORDS = {"service": "records", "process": "api", "level": "info", "timestamp": "2026-11-30T02:31:58.330000Z"}
PIECE = 16 * 1024


@dataclass
class Container:
    """A container's log as Docker writes it: in pieces of at most 16 kB; a full file is renamed to …log.1, ….2, …."""

    folder: Path
    name: str
    most_bytes: int = 20_000_000
    tag: str | None = None

    def __post_init__(self) -> None:
        place = self.folder / f"{self.name}-id"
        place.mkdir(parents=True)
        self._path = place / f"{place.name}-json.log"

    def write(self, *lines: str) -> None:
        for line in lines:
            for begin in range(0, len(line) + 1, PIECE):
                self.write_raw(self.entry(f"{line}\n"[begin : begin + PIECE]))

    def entry(self, text: str) -> str:
        entry = {"log": text, "stream": "stdout", "attrs": {"tag": self.tag or f"portal/{self.name}"}, "time": TIME}
        return json.dumps(entry, ensure_ascii=False) + "\n"

    def write_raw(self, text: str) -> None:
        if self._path.exists() and self._path.stat().st_size > self.most_bytes:
            self._rename()
        with self._path.open("ab", buffering=0) as file:
            file.write(text.encode())

    def _rename(self) -> None:
        """Five files; the oldest is removed."""
        for number in (3, 2, 1):
            if (older := Path(f"{self._path}.{number}")).exists():
                older.rename(f"{self._path}.{number + 1}")
        self._path.rename(f"{self._path}.1")


@dataclass
class Shipping:
    """A shipper and a receiver with their files in a folder, started by the commands of the containers."""

    folder: Path
    port: int = field(default_factory=free_port)
    internal: dict[str, int] = field(default_factory=lambda: {"ship": free_port(), "receive": free_port()})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in ("containers", "positions", "logs"):
            (self.folder / each).mkdir()
        self.certificates(self.folder / "authority")

    @staticmethod
    def certificates(authority: Path) -> None:
        for name in ("log-shipper", "log-receiver", "records-api"):
            hosts = [name] if name != "log-receiver" else [name, "localhost"]
            Authority.in_folder(authority).issue(name, hosts, authority)

    def environment(self, command: str, authority: str = "authority") -> dict[str, str]:
        name = {"ship": "log-shipper", "receive": "log-receiver"}[command]
        place = self.folder / authority
        own = {
            "ship": {
                "LOGS__RECEIVER": f"localhost:{self.port}", "LOGS__SITE": SITE,
                "LOGS__FOLDER": f"{self.folder}/containers", "LOGS__STATE": f"{self.folder}/positions",
            },
            "receive": {"LOGS__PORT": str(self.port), "LOGS__FOLDER": f"{self.folder}/logs"},
        }  # fmt: skip
        files = {"CA": place / "ca.pem", "CERTIFICATE": place / f"{name}.pem", "KEY": place / f"{name}.key"}
        tls = {f"TLS__{key}": str(path) for key, path in files.items()}
        return {"PATH": os.environ["PATH"], "INTERNAL__PORT": str(self.internal[command])} | tls | own[command]

    def start(self, command: str, authority: str = "authority", **settings: str) -> None:
        with (self.folder / f"{command}.log").open("ab") as output:
            self.running[command] = subprocess.Popen(
                [sys.executable, "-m", "deploy.logs", command], cwd=ROOT, stdout=output, stderr=output,
                env=self.environment(command, authority) | settings, start_new_session=True,
            )  # fmt: skip

    def kill(self, command: str) -> None:
        """SIGKILL to the command and its rsyslogd."""
        process = self.running.pop(command)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for command in list(self.running):
            self.kill(command)

    def received(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines(name)]

    def lines(self, name: str) -> list[str]:
        """The complete lines in the files of a container."""
        texts = [path.read_text() for path in sorted((self.folder / "logs").glob(f"*/{name}.jsonl"))]
        return [line for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def numbers(self, name: str) -> Counter[object]:
        return Counter(each["n"] for each in self.received(name))

    def said(self, command: str) -> str:
        return (self.folder / f"{command}.log").read_text()

    def waiting(self) -> float:
        """The metric of the shipper."""
        trust = ssl.create_default_context(cafile=self.folder / "authority/ca.pem")
        with httpx2.Client(verify=trust) as http:
            address = f"https://127.0.0.1:{self.internal['ship']}/metrics"
            text = http.get(address, headers={"Host": "log-shipper"}, extensions={"sni_hostname": "log-shipper"}).text
        return float(re.findall(r"(?m)^log_bytes_waiting (\S+)$", text)[0])


@pytest.fixture
def shipping(tmp_path: Path) -> Iterator[Shipping]:
    shipping = Shipping(tmp_path)
    try:
        yield shipping
    finally:
        shipping.stop()


@pytest.fixture
def both(shipping: Shipping) -> Shipping:
    shipping.start("receive")
    shipping.start("ship")
    return shipping


async def reached(condition: Callable[[], bool], what: str, within: float = 90) -> None:
    """Waits for a condition that reads files."""
    await eventually(lambda: asyncio.to_thread(condition), within, what, pause=0.2)


async def arrives(shipping: Shipping, name: str, count: int) -> list[dict[str, object]]:
    """Waits for so many lines."""
    await reached(lambda: len(shipping.lines(name)) >= count, f"{count} lines")
    return shipping.received(name)


def numbered(numbers: Iterable[int]) -> Iterator[str]:
    return (json.dumps({"n": number, "event": "x" * (number % 600)}) for number in numbers)


async def test_lines_arrive_unchanged_and_text_arrives_as_json(both: Shipping) -> None:
    containers = both.folder / "containers"
    line = json.dumps(RECORDS | {"event": "记录/已保存", "request_id": "4f1c", "n": 12345678901234567890, "f": 1e-7})
    texts = ["[2026-11-30] INFO plain", '{"half": ', '{"a": 1} and more', "[1]", '"quoted" \\ \t 中文', ""]
    Container(containers, "records-api-1").write(line)
    Container(containers, "kafka-1").write(*texts)
    Container(containers, "of-others-1", tag="of-others-1").write("not ours")
    await arrives(both, "records-api-1", 1)
    assert both.lines("records-api-1") == [f"{line}\n"]
    found = await arrives(both, "kafka-1", len(texts))
    assert found == [{"timestamp": TIME, "process": "kafka-1", "event": text} for text in texts]
    (day,) = (both.folder / "logs").glob("????-??-??")
    assert {path.name for path in day.iterdir()} == {"records-api-1.jsonl", "kafka-1.jsonl"}


async def test_a_line_of_100_kilobytes_arrives_whole_and_one_of_a_megabyte_in_pieces(both: Shipping) -> None:
    """Docker splits both."""
    long = json.dumps({"event": "".join(random.Random(1).choices('ab"\\ 中', k=1_000_000))}, ensure_ascii=False)
    container = Container(both.folder / "containers", "records-api-1")
    short = {"event": "x" * 100_000}
    container.write(long, json.dumps(short))
    await reached(lambda: short in both.received("records-api-1"), "the last line")
    *pieces, last = both.received("records-api-1")
    assert "".join(str(each["event"]) for each in pieces) == long
    assert (len(pieces) < 20, last) == (True, short)


async def test_half_a_line_waits_for_its_other_half_also_across_a_kill(both: Shipping) -> None:
    container = Container(both.folder / "containers", "records-api-1")
    entry = container.entry('{"event": "in two halves"}\n')
    container.write('{"event": "first"}')
    container.write_raw(entry[:50])
    await arrives(both, "records-api-1", 1)
    both.kill("ship")
    both.start("ship")
    container.write_raw(entry[50:])
    container.write('{"event": "last"}')
    events = [each["event"] for each in await arrives(both, "records-api-1", 3)]
    assert list(dict.fromkeys(events)) == ["first", "in two halves", "last"]


async def test_lines_of_kubernetes_arrive(shipping: Shipping) -> None:
    pods = shipping.folder / "pods"
    shipping.start("receive")
    shipping.start("ship", LOGS__FORMAT="kubernetes", LOGS__FOLDER=str(pods), LOGS__PATTERN="city_city-*/*/*.log*")
    ours, others = (pods / f"city_{name}_7f/main" for name in ("city-records-api-6d-x2", "other-1"))
    for place in (ours, others):
        place.mkdir(parents=True)
        (place / "0.log").write_text(
            f'{TIME} stdout F {{"event": "saved"}}\n{TIME} stderr F no  JSON\n'
            f'{TIME} stdout P {{"event": \n{TIME} stdout F "in pieces"}}\n'
        )
    await arrives(shipping, "city-records-api-6d-x2", 3)
    (ours / "0.log").rename(ours / "0.log.20261130-023158")
    (ours / "0.log").write_text(f'{TIME} stdout F {{"event": "after the renaming"}}\n')
    found = await arrives(shipping, "city-records-api-6d-x2", 4)
    assert [each["event"] for each in found] == ["saved", "no  JSON", "in pieces", "after the renaming"]
    assert [path.stem for path in (shipping.folder / "logs").glob("*/*")] == ["city-records-api-6d-x2"]


async def test_nothing_is_lost_while_the_receiver_is_unavailable(both: Shipping) -> None:
    """It is killed, the container's file is renamed meanwhile, and the shipper is restarted."""
    container = Container(both.folder / "containers", "records-api-1", most_bytes=200_000)
    container.write(*numbered(range(100)))
    await arrives(both, "records-api-1", 100)
    both.kill("receive")
    for begin in range(100, 2000, 100):
        container.write(*numbered(range(begin, begin + 100)))
        await asyncio.sleep(0.1)
    await reached(lambda: both.waiting() > 200_000, "the metric counts what waits")
    both.running["ship"].terminate()
    assert both.running.pop("ship").wait(30) == 0
    both.start("ship")
    both.start("receive")
    await reached(lambda: len(both.numbers("records-api-1")) == 2000, "all arrived")
    await reached(lambda: both.waiting() == 0, "nothing waits")


@pytest.mark.parametrize("killed", ["ship", "receive"])
async def test_nothing_is_lost_when_a_side_is_killed_again_and_again(both: Shipping, killed: str) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    containers = [Container(both.folder / "containers", name, most_bytes=600_000) for name in ("a-1", "b-1")]

    async def write() -> None:
        for begin in range(0, 4000, 10):
            for container in containers:
                container.write(*numbered(range(begin, begin + 10)))
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(write())
    while not writing.done():
        await asyncio.sleep(chance.uniform(1, 3))
        both.kill(killed)
        await asyncio.sleep(chance.uniform(0, 0.5))
        both.start(killed)
    await writing
    await reached(lambda: {len(both.numbers(each.name)) for each in containers} == {4000}, "all lines")


async def test_a_receiver_of_another_authority_gets_nothing(shipping: Shipping) -> None:
    shipping.certificates(shipping.folder / "other")
    shipping.start("receive", "other")
    shipping.start("ship")
    Container(shipping.folder / "containers", "records-api-1").write('{"event": "secret"}')
    await reached(lambda: "certificate verify failed" in shipping.said("ship"), "it is refused")
    assert not list((shipping.folder / "logs").glob("*/*"))


async def test_a_receiver_with_another_name_gets_nothing(shipping: Shipping) -> None:
    place = shipping.folder / "authority"
    stranger = {"TLS__CERTIFICATE": str(place / "records-api.pem"), "TLS__KEY": str(place / "records-api.key")}
    shipping.start("receive", **stranger)
    shipping.start("ship")
    Container(shipping.folder / "containers", "records-api-1").write('{"event": "secret"}')
    await reached(lambda: "not valid for" in shipping.said("ship"), "it is refused")
    assert not list((shipping.folder / "logs").glob("*/*"))


RELP_OPEN = b"1 open %d %s\n" % (len(relp.OFFER), relp.OFFER)


@contextmanager
def dialled(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        yield connection


async def test_the_receiver_refuses_plaintext_and_strangers(shipping: Shipping) -> None:
    shipping.certificates(shipping.folder / "other")
    shipping.start("receive")
    own, other = shipping.folder / "authority", shipping.folder / "other"
    await reached(lambda: listens(shipping.port), "the receiver listens")
    assert accepts(shipping.port, tls(own, own / "log-shipper.pem")), "so that a refusal means something"
    assert not accepts(shipping.port, tls(own)), "no certificate"
    assert not accepts(shipping.port, tls(own, other / "log-shipper.pem")), "of another authority"
    assert not accepts(shipping.port, tls(own, own / "records-api.pem")), "not the shipper"
    assert not accepts(shipping.port, None), "plaintext"


def listens(port: int) -> bool:
    try:
        with dialled(port):
            return True
    except OSError:
        return False


def tls(authority: Path, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    if certificate:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def accepts(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether a session can be opened; without TLS if there is no context."""
    try:
        with dialled(port) as plain:
            encrypted = context.wrap_socket(plain, server_hostname="log-receiver") if context else plain
            with encrypted as connection:
                connection.sendall(RELP_OPEN)
                return connection.recv(100).startswith(b"1 rsp")
    except OSError:
        return False


def test_files_of_past_days_are_compressed_and_old_ones_removed(tmp_path: Path) -> None:
    receiving = Receiving(folder=tmp_path, days=30)
    for day in ("2026-10-30", "2026-10-31", "2026-11-28", "2026-11-29", "2026-11-30"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "records-api-1.jsonl").write_text(f'{{"event": "{day}"}}\n')
    tidy(receiving, date(2026, 11, 30))
    tidy(receiving, date(2026, 11, 30))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")}
    packed = {f"{day}/records-api-1.jsonl.gz" for day in ("2026-10-31", "2026-11-28")}
    assert left == packed | {f"{day}/records-api-1.jsonl" for day in ("2026-11-29", "2026-11-30")}
    text = gzip.decompress((tmp_path / "2026-11-28/records-api-1.jsonl.gz").read_bytes())
    assert text == b'{"event": "2026-11-28"}\n'
