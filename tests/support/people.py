"""A practitioner at the public API of records: the calls of a browser or an API client."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from kit.security.tokens import TokenIssuer
from tests.support.names import own_id
from tests.support.tokens import practitioner_token

EDUCATION: dict[str, Any] = {
    "school": "同济大学",
    "level": "研究生",
    "length": "三年",
    "major": "土木工程",
    "principal": "李·某",
    "start": "2010-09-01",
    "end": "2013-06-30",
    "certificate_no": "102471201305001",
    "issued_on": "2013-07-01",
    "registration_no": None,
}
OWN = "/api/records/practitioners/me/records"


@dataclass
class Person:
    """Calls as one practitioner, who need not be registered: the token holds the id."""

    http: httpx2.AsyncClient
    issuer: TokenIssuer
    id: str = field(default_factory=own_id)

    def __post_init__(self) -> None:
        self._token = practitioner_token(self.issuer, self.id)

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._token}", **request.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **request)

    async def create(
        self, data: dict[str, Any] | None = None, *, kind: str = "education", key: str | None = None
    ) -> httpx2.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.call("POST", OWN, json={"kind": kind, "data": data or EDUCATION}, headers=headers)

    async def created(self, data: dict[str, Any] | None = None, *, kind: str = "education") -> dict[str, Any]:
        """A record that was created without an error."""
        response = await self.create(data, kind=kind)
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def get(self, record_id: str) -> httpx2.Response:
        return await self.call("GET", f"/api/records/records/{record_id}")

    async def change(self, record_id: str, version: int, data: dict[str, Any]) -> httpx2.Response:
        match = {"If-Match": f'"{version}"'}
        return await self.call("PUT", f"/api/records/records/{record_id}", json={"data": data}, headers=match)

    async def delete(self, record_id: str, version: int) -> httpx2.Response:
        match = {"If-Match": f'"{version}"'}
        return await self.call("DELETE", f"/api/records/records/{record_id}", headers=match)

    async def list(self, **query: str) -> httpx2.Response:
        return await self.call("GET", OWN, params=query)

    async def history(self, record_id: str) -> httpx2.Response:
        return await self.call("GET", f"/api/records/records/{record_id}/history")
