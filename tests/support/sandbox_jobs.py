"""What tests have done inside a sandbox: work that costs too much, and what an attacker would try there."""

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
class Told:
    """A type that a sandbox's answer may have."""

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


def tell(picture: bytes) -> Told:
    return Told(picture, (1, 2), None)


def forge(answer: bytes) -> Told:
    """Write an answer of one's own in place of what a function returns, as who took over the process could."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, len(answer).to_bytes(4, "big") + answer)
        except OSError:
            continue
    return Told(b"", (0, 0), None)


def twice(answer: bytes) -> Told:
    """Answer under the question's own token, before the function does."""
    token = sys._getframe(2).f_locals["token"]
    return forge(token + answer)


def environment() -> list[str]:
    return sorted(os.environ)


def opens(path: str) -> str:
    """What stands there. Raises what the system says."""
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
