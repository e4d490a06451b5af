"""Functions that tests run inside a sandbox: work beyond its limits, and what an attacker would try there."""

import ctypes
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = str(Path(__file__).parents[1])
"""For a sandbox of a test's own: it must find this module."""


@dataclass(frozen=True)
class Answer:
    """A return type that the sandbox allows."""

    picture: bytes
    sizes: tuple[int, int]
    note: str | None


def burn() -> None:
    while True:
        pass


def hoard() -> int:
    return len(b"x" * 2**30)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep() -> None:
    time.sleep(60)


def describe(picture: bytes) -> Answer:
    return Answer(picture, (1, 2), None)


def forge(answer: bytes) -> Answer:
    """Writes a forged answer in place of the function's, as an attacker in the process could."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, len(answer).to_bytes(4, "big") + answer)
        except OSError:
            continue
    return Answer(b"", (0, 0), None)


def twice(answer: bytes) -> Answer:
    """Answers under the request's own token, before the function does."""
    token = sys._getframe(2).f_locals["token"]
    return forge(token + answer)


def environment() -> list[str]:
    return sorted(os.environ)


def opens(path: str) -> str:
    """Reads the file. Raises the system's error."""
    return Path(path).read_text(errors="replace")[:100]


def writes(path: str) -> int:
    return Path(path).write_text("x")


def connects(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=1).close()


def sends_a_datagram(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packet:
        return packet.sendto(b"x", (host, port))


def signals(pid: int) -> None:
    os.kill(pid, 0)


def forks() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return child


def runs(program: str) -> None:
    os.execv(program, [program])


def reads_memory_of(pid: int) -> int:
    """The bytes read from another process, by process_vm_readv. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    read = int(libc.process_vm_readv(pid, None, 0, None, 0, 0))
    if read < 0:
        raise PermissionError(ctypes.get_errno(), "process_vm_readv")
    return read
