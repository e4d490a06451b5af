"""The stack's Prometheus, queried as dashboards do."""

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.support.stack import RunningStack


@dataclass(frozen=True)
class Prometheus:
    """Prometheus at an address."""

    url: str

    async def get(self, path: str, **parameters: str) -> Any:
        """The `data` of a response of its API."""
        async with httpx2.AsyncClient(timeout=10) as client:
            answer = (await client.get(f"{self.url}/api/v1/{path}", params=parameters)).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        return list((await self.get("query", query=query))["result"])

    async def alert(self, name: str, state: str = "firing", **labels: str) -> bool:
        """Whether this alert is in this state, for these labels."""
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return bool(await self.ask(f'ALERTS{{alertname="{name}",alertstate="{state}",{wanted}}}'))


@pytest.fixture(scope="session")
def prometheus(stack: RunningStack) -> Prometheus:
    if stack.facts["prometheus"] is None:
        pytest.skip("Prometheus is not installed here")
    return Prometheus(stack.facts["prometheus"])
