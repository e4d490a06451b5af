"""A broken client: it repeats a create without its key, which the checker must notice."""

from typing import Any

import httpx2

from tests.support.people import Person


class Keyless(Person):
    """Sends creates without a key; the answer to the first try of each is lost."""

    lost: int = 0

    async def create(
        self, data: dict[str, Any] | None = None, *, kind: str = "education", key: str | None = None
    ) -> httpx2.Response:
        response = await super().create(data, kind=kind)
        self.lost += 1
        if self.lost % 2:
            raise httpx2.ReadError("the answer is lost")
        return response
