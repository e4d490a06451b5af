"""Delivery receipts, posted to the customer shortly after the message."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx2

MOMENT_SECONDS = 0.3
TRIES = 4


class Callbacks:
    """Posts receipts to the URL that the customer registered, if any; those of one moment in one request."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def later(self, url: str, receipt: dict[str, Any]) -> None:
        if url and not self._waiting.get(url):
            task = asyncio.create_task(self._call_back(url))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        self._waiting.setdefault(url, []).append(receipt)

    async def _call_back(self, url: str) -> None:
        await asyncio.sleep(MOMENT_SECONDS)
        receipts = self._waiting.pop(url)
        async with httpx2.AsyncClient(timeout=5) as client:
            for number in range(TRIES):
                with suppress(httpx2.HTTPError):
                    (await client.post(url, json=receipts)).raise_for_status()
                    return
                await asyncio.sleep(MOMENT_SECONDS * 2**number)
