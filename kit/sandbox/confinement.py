"""Confines a process before it handles untrusted input: no network, files or other processes, irrevocably.

Only on Linux, by system calls: namespaces(7), landlock(7), seccomp(2). Each is applied if the system supports it;
`confine` returns the applied ones.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
NEW_USER = 0x10000000
NEW_NET = 0x40000000
NEW_IPC = 0x08000000
NEW_UTS = 0x04000000
# the same numbers on every architecture
LANDLOCK_CREATE = 444
LANDLOCK_ADD = 445
LANDLOCK_RESTRICT = 446
LANDLOCK_READ = 0b1101  # execute, read a file, read a folder
# By version of the interface: the known rights over files; rights over TCP; scopes (sockets, signals).
LANDLOCK_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
LANDLOCK_NET, LANDLOCK_SCOPES = 0b11, 0b11

EPERM, ENOSYS = 1, 38
BPF_LOAD = 0x20
BPF_EQUAL = 0x15
BPF_ANY_BIT = 0x45
BPF_RETURN = 0x06
# offsets in seccomp_data
NUMBER = 0
ARCHITECTURE = 4
FIRST_ARGUMENT = 16
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL = 0x80000000
SECCOMP_FILTER = 2
CLONE_THREAD = 0x10000
Line = tuple[int, int, int, int]


@dataclass(frozen=True)
class SystemCalls:
    """Numbers of system calls (asm/unistd.h); `forbidden`: sockets, new programs, other processes, keys, mounts."""

    architecture: int
    clone: int
    signals: tuple[int, ...]  # kill, tgkill: only to oneself, as abort(3) does
    forbidden: tuple[int, ...]
    clone3: int = 435


CALLS = {
    # socket connect bind listen socketpair fork vfork execve ptrace mount tkill add_key request_key keyctl unshare
    # perf_event_open setns process_vm_readv process_vm_writev bpf execveat userfaultfd io_uring_setup pidfd_open
    # pidfd_getfd
    "x86_64": SystemCalls(0xC000003E, 56, (62, 234), (
        41, 42, 49, 50, 53, 57, 58, 59, 101, 165, 200, 248, 249, 250, 272,
        298, 308, 310, 311, 321, 322, 323, 425, 434,
        438,
    )),
    # mount unshare ptrace tkill socket socketpair bind listen connect add_key request_key keyctl execve
    # perf_event_open setns process_vm_readv process_vm_writev bpf execveat userfaultfd io_uring_setup pidfd_open
    # pidfd_getfd
    "aarch64": SystemCalls(0xC00000B7, 220, (129, 131), (
        40, 97, 117, 130, 198, 199, 200, 201, 203, 217, 218, 219, 221,
        241, 268, 270, 271, 280, 281, 282, 425, 434,
        438,
    )),
}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)


def confine(readable: Iterable[Path]) -> list[str]:
    """Give up everything but reading below `readable`. Returns the applied steps of namespaces, landlock, seccomp.

    Must be called while the process has one thread.
    """
    libc.prctl(PR_SET_PDEATHSIG, 9)
    libc.prctl(PR_SET_DUMPABLE, 0)
    steps: dict[str, Callable[[], bool]] = {
        "namespaces": _leave_namespaces,
        "landlock": lambda: _close_files(readable),
        "seccomp": _filter_calls,
    }
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    return [name for name, step in steps.items() if step()]


def _leave_namespaces() -> bool:
    """Enter a user namespace without rights outside of it, and a network without interfaces."""
    return bool(libc.unshare(NEW_USER | NEW_NET | NEW_IPC | NEW_UTS) == 0)


def _close_files(readable: Iterable[Path]) -> bool:
    version = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    files = LANDLOCK_FILES[max(known for known in LANDLOCK_FILES if known <= version)]
    rules = struct.pack("=QQQ", files, LANDLOCK_NET if version >= 4 else 0, LANDLOCK_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(LANDLOCK_CREATE, rules, size, 0)
    if ruleset < 0:
        return False
    for path in readable:
        _open_below(ruleset, path)
    closed = libc.syscall(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return bool(closed == 0)


def _open_below(ruleset: int, path: Path) -> None:
    if not path.exists():
        return
    folder = os.open(path, os.O_PATH)
    rights = LANDLOCK_READ if path.is_dir() else LANDLOCK_READ & ~0b1000
    libc.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, folder), 0)
    os.close(folder)


def _filter_calls() -> bool:
    """Refuse the calls that `CALLS` forbids; calls of another architecture (32 bits) kill the process."""
    if platform.machine() not in CALLS:
        return False
    program = _program(CALLS[platform.machine()])
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    given = struct.pack("@HP", len(program), ctypes.addressof(code))
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, given, 0, 0) == 0)


def _program(calls: SystemCalls) -> list[Line]:
    """The filter; a line is (operation, lines to skip if true, if false, value)."""
    program = [
        (BPF_LOAD, 0, 0, ARCHITECTURE),
        (BPF_EQUAL, 1, 0, calls.architecture),
        (BPF_RETURN, 0, 0, KILL),
        (BPF_LOAD, 0, 0, NUMBER),
        (BPF_EQUAL, 0, 1, calls.clone3),
        (BPF_RETURN, 0, 0, ERRNO | ENOSYS),  # glibc then uses clone, whose flags can be checked
    ]
    for number in calls.forbidden:
        program += [(BPF_EQUAL, 0, 1, number), (BPF_RETURN, 0, 0, ERRNO | EPERM)]
    program += _only_if(calls.clone, BPF_ANY_BIT, CLONE_THREAD)
    for number in calls.signals:
        program += _only_if(number, BPF_EQUAL, os.getpid())
    return [*program, (BPF_RETURN, 0, 0, ALLOW)]


def _only_if(number: int, test: int, value: int) -> list[Line]:
    """Allow this call if its first argument passes the test."""
    return [
        (BPF_EQUAL, 0, 4, number),
        (BPF_LOAD, 0, 0, FIRST_ARGUMENT),
        (test, 0, 1, value),
        (BPF_RETURN, 0, 0, ALLOW),
        (BPF_RETURN, 0, 0, ERRNO | EPERM),
    ]
