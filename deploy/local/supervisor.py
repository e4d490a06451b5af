"""The supervisor of one copy of the stack: a daemon, controlled through its unix socket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any
from xmlrpc.client import Fault, ServerProxy, Transport

from deploy.local.stack import ROOT, Stack

_UNAVAILABLE = (FileNotFoundError, ConnectionError)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


class _UnixTransport(Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # where `close` looks for it
        return connection


class Supervisor:
    """Starts, stops and lists programs by name; the configuration file must have been written before."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def runs(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except _UNAVAILABLE:
            return False

    def start_daemon(self) -> None:
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._stack.supervisor_config)]
        # it would print a warning about pkg_resources and nothing else
        environment = {k: v for k, v in os.environ.items() if "__" not in k} | {"PYTHONWARNINGS": "ignore"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdin=subprocess.DEVNULL)
        _poll(self.runs, 10, "the supervisor did not start")

    def programs(self) -> list[dict[str, Any]]:
        """Return name, statename, pid, start (epoch seconds) … of every program; empty while the supervisor is down."""
        try:
            return list(self._call("getAllProcessInfo"))
        except _UNAVAILABLE:
            return []

    def running(self) -> set[str]:
        return {program["name"] for program in self.programs() if program["statename"] == "RUNNING"}

    def start(self, *names: str) -> None:
        """Start those of the programs that are stopped, without waiting."""
        stopped = {p["name"] for p in self.programs() if p["statename"] in ("STOPPED", "EXITED", "FATAL")}
        for name in names:
            if name in stopped:
                self._call("startProcess", name, False)

    def stop(self, *names: str) -> None:
        """Stop programs at the same time, since one may wait for another, and wait until all have stopped."""
        for name in names:
            with suppress(Fault):
                self._call("stopProcess", name, False)
        live = ("RUNNING", "STARTING", "STOPPING", "BACKOFF")
        _poll(
            lambda: not [p for p in self.programs() if p["name"] in names and p["statename"] in live],
            60,
            f"{', '.join(names)} did not stop",
        )

    def shut_down(self) -> None:
        """Stop the daemon; its programs must have been stopped before."""
        with suppress(*_UNAVAILABLE):
            self._call("shutdown")
        _poll(lambda: not self._stack.supervisor_pid.exists(), 60, "the supervisor did not stop")
        self._stack.socket.unlink(missing_ok=True)

    def _call(self, method: str, *arguments: Any) -> Any:
        # a connection for each call: calls are few, and threads can't share a ServerProxy
        with ServerProxy("http://localhost", transport=_UnixTransport(str(self._stack.socket))) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


def _poll(done: Callable[[], bool], seconds: float, error: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(error)
        time.sleep(0.05)
