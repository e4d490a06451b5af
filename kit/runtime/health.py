"""Health of a process: liveness, readiness, and detection of stalls."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.core.errors import cause_of
from kit.observability import log
from kit.observability.metrics import check_ok

CHECK_SECONDS = 2.0
logger = log.get(__name__)

Check = Callable[[], Awaitable[None]]
"""A readiness check: raises with a sentence for the operator if it fails."""


class StallDetector:
    """Fails when work waits and nothing has moved for `limit` seconds (event-loop time)."""

    def __init__(self, what: str, limit: float) -> None:
        self._what, self._limit = what, limit
        self._seen: object = None
        self._since = 0.0
        self._waiting = False
        self._stopped: str | None = None

    def stop(self, why: str) -> None:
        """Report that the work has ended; the check fails from now on."""
        self._stopped = why

    def observe(self, position: object, waiting: bool) -> None:
        """Report the position of the work, and whether more of it waits."""
        now = asyncio.get_running_loop().time()
        if position != self._seen or not waiting or not self._waiting:
            self._seen, self._since = position, now
        self._waiting = waiting

    async def check(self) -> None:
        """Raises `RuntimeError` during a stall, and once the work has ended."""
        if self._stopped is not None:
            raise RuntimeError(f"{self._what} has ended: {self._stopped}")
        still = asyncio.get_running_loop().time() - self._since
        if self._waiting and still > self._limit:
            raise RuntimeError(f"{self._what} stalled: no progress for {still:.0f} s while work waits")


async def _failure(check: Check) -> Exception | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:
        return error
    return None


def application(checks: Mapping[str, Check]) -> Starlette:
    """`GET /healthz`, `/readyz`, `/metrics`: on the internal port only."""
    failing = set[str]()

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def verdicts() -> dict[str, str]:
        found = dict(zip(checks, await asyncio.gather(*map(_failure, checks.values())), strict=True))
        for check, error in found.items():
            check_ok.labels(check).set(error is None)
            if error and check not in failing:
                logger.warning("readiness check failed", check=check, error=cause_of(error))
            (failing.add if error else failing.discard)(check)
        return {check: "ok" if error is None else str(error) or type(error).__name__ for check, error in found.items()}

    async def readyz(_request: Request) -> Response:
        found = await verdicts()
        ready = all(verdict == "ok" for verdict in found.values())
        return JSONResponse({"ready": ready, "checks": found}, status_code=200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        await verdicts()  # alerts need the current state, not that of the last request
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)],
    )
