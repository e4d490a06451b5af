"""Code that runs inside the process which decodes untrusted files reaches nothing, and its answer is only data."""

import base64
import os
import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from kit.core.errors import Unavailable
from kit.sandbox.pool import Limits, Sandbox
from tests.support import sandbox_jobs
from tests.support.sandbox_jobs import HERE, Answer


@pytest_asyncio.fixture(scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(limits=Limits(cpu_seconds=5, seconds=20), readable=(HERE,)) as made:
        yield made


async def test_the_result_of_an_honest_function_arrives(sandbox: Sandbox) -> None:
    assert await sandbox.run(sandbox_jobs.describe, b"\xff\xd8\x00") == Answer(b"\xff\xd8\x00", (1, 2), None)


async def test_it_has_no_settings_and_no_secrets(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL__KEYS", "a key")
    assert not {name for name in await sandbox.run(sandbox_jobs.environment) if "__" in name}
    (tmp_path / "secret").write_text("a key")
    for path in (str(tmp_path / "secret"), "/etc/passwd", f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem"):
        with pytest.raises(PermissionError):
            await sandbox.run(sandbox_jobs.opens, path)
    with pytest.raises(PermissionError):
        await sandbox.run(sandbox_jobs.writes, str(tmp_path / "left behind"))


@pytest.mark.parametrize(
    ("attempt", "given"),
    [
        (sandbox_jobs.connects, ("127.0.0.1", 80)), (sandbox_jobs.sends_a_datagram, ("127.0.0.1", 53)),
        (sandbox_jobs.signals, (os.getpid(),)), (sandbox_jobs.forks, ()), (sandbox_jobs.runs, ("/bin/true",)),
        (sandbox_jobs.reads_memory_of, (os.getpid(),)),
    ],
)  # fmt: skip
async def test_it_reaches_no_socket_and_no_other_process(
    sandbox: Sandbox, attempt: Callable[..., object], given: tuple[object, ...]
) -> None:
    with pytest.raises(PermissionError):
        await sandbox.run(attempt, *given)


class Exploit:
    """Unpickles to a call of the attacker's choice."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {Exploit.mark}",)

    mark = ""


def forged(tmp_path: Path) -> list[bytes]:
    """Answers that a function with this return type never gives."""
    Exploit.mark = str(tmp_path / "ran")
    picture = base64.b64encode(b"x").decode()
    return [
        pickle.dumps(Exploit()), b"r" + pickle.dumps(Exploit()), b"r[1]", b"r{}", b"r", b"", b"x",
        f'r[{{"picture": "{picture}", "sizes": [1], "note": null}}]'.encode(),
        f'r[{{"picture": "{picture}", "sizes": ["a", 2], "note": null}}]'.encode(),
        b'e["os", "system", ["true"]]', b'e["kit.sandbox.pool", "Sandbox", []]', b'e["builtins", "exec", ["1"]]',
        b'e["kit.core.errors", "Unavailable", [[1]]]', b"e" + b"[" * 100_000,
    ]  # fmt: skip


async def test_a_forged_answer_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    for answer in forged(tmp_path):
        async with Sandbox(readable=(HERE,)) as fresh:
            with pytest.raises(Unavailable):
                await fresh.run(sandbox_jobs.forge, answer)
            assert await fresh.run(sandbox_jobs.describe, b"next") == Answer(b"next", (1, 2), None), (
                "by another process"
            )
    assert not (tmp_path / "ran").exists()


async def test_a_surplus_answer_is_not_taken_for_the_next_file() -> None:
    another = base64.b64encode(b"another's").decode()
    answer = f'r[{{"picture": "{another}", "sizes": [0, 0], "note": null}}]'.encode()
    async with Sandbox(readable=(HERE,)) as fresh:
        assert (await fresh.run(sandbox_jobs.twice, answer)).picture == b"another's", (
            "its own file's result it may forge"
        )
        with pytest.raises(Unavailable):
            await fresh.run(sandbox_jobs.describe, b"mine")
        assert (await fresh.run(sandbox_jobs.describe, b"mine")).picture == b"mine"
