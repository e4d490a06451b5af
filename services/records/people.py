"""Whose document a number is: asked at identity, which alone may know, many at once and as this service itself."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel

from kit.core.errors import Unavailable
from kit.http.service_client import ClientCredentials, ServiceClient

PATH = "/api/identity/practitioners/lookups"
SCOPE = "practitioners:lookup"


class IdentityDocument(NamedTuple):
    """A document: a passport's number is only unique with the country that issued it."""

    document_type: str
    document_number: str
    nationality: str | None = None


class Found(BaseModel):
    """Its owner, or why nobody can be named."""

    practitioner_id: str | None
    code: Literal["not_found", "document_ambiguous"] | None


class _Answer(BaseModel):
    items: list[Found]


class _Document(BaseModel):
    document_type: str
    document_number: str
    nationality: str | None


class _Question(BaseModel):
    documents: list[_Document]


class People:
    """Nothing of an answer is kept: records stores who, never by which number."""

    def __init__(self, identity: ServiceClient, token: ClientCredentials) -> None:
        self._identity, self._token = identity, token

    async def find(self, papers: Sequence[IdentityDocument]) -> list[Found]:
        """The owners, in order; at most 1,000. Raises `Unavailable`, also when this service may not ask."""
        if not papers:
            return []
        question = _Question(documents=[_Document(**paper._asdict()) for paper in papers])
        answer = await self._identity.ask(PATH, await self._token.get(), _Answer, question)
        if answer is None or len(answer.items) != len(papers):
            raise Unavailable("identity's look-up")
        return answer.items
