"""The process of a sandbox (kit.sandbox.pool): confines itself, then answers one request after the other."""

import base64
import dataclasses
import json
import os
import pickle
import resource
import sys
import time
from pathlib import Path
from typing import BinaryIO

from kit.sandbox.confinement import confine

LENGTH, TOKEN = 4, 8
NICENESS = 10
"""Checks run in the processor time that answering requests leaves."""


def main() -> None:
    """Answer requests until the pipe is closed."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not reach the answers
    os.nice(NICENESS)
    memory_bytes, readable, first = pickle.loads(_read(requests))  # noqa: S301  # from our own process
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    _write(answers, json.dumps(confine(map(Path, readable))).encode())
    if first is not None:
        first()
    while token := requests.read(TOKEN):
        _write(answers, token + _answer(requests))


def _read(pipe: BinaryIO) -> bytes:
    """The next message, or nothing at the end."""
    return pipe.read(int.from_bytes(pipe.read(LENGTH), "big"))


def _write(pipe: BinaryIO, message: bytes) -> None:
    pipe.write(len(message).to_bytes(LENGTH, "big"))
    pipe.write(message)
    pipe.flush()


def _answer(requests: BinaryIO) -> bytes:
    """`r` and what the function returned, or `e` and the error: module, name, arguments.

    The message is not kept beside its unpickled content, because photos are large and memory is limited.
    """
    try:
        cpu_seconds, function, arguments = pickle.loads(_read(requests))  # noqa: S301  # from our own process
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)  # it counts the processor time since the process started
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + cpu_seconds, hard))
        return b"r" + json.dumps([function(*arguments)], default=_plain).encode()
    except Exception as error:
        given = [each for each in error.args if isinstance(each, str | int | float | None)]
        return b"e" + json.dumps([type(error).__module__, type(error).__name__, given]).encode()


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"not data: {type(value).__name__}")


if __name__ == "__main__":
    main()
