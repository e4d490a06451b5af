"""Receipts that are called back to the customer, a moment after the message."""

import asyncio
from typing import Any

import httpx2

MOMENT_SECONDS = 0.3
TRIES = 4


class Callbacks:
    """Posts receipts to the address that the customer registered, if any."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def later(self, url: str, body: list[dict[str, Any]]) -> None:
        if url:
            task = asyncio.create_task(_call_back(url, body))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)


async def _call_back(url: str, body: list[dict[str, Any]]) -> None:
    async with httpx2.AsyncClient(timeout=5) as client:
        for number in range(TRIES):
            await asyncio.sleep(MOMENT_SECONDS * 2**number)
            try:
                (await client.post(url, json=body)).raise_for_status()
            except httpx2.HTTPError:
                continue
            return
