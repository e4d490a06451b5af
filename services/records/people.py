"""Finds the owners of identity documents through identity's API, in batches, with this service's own token."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel

from kit.core.errors import Unavailable
from kit.http.service_client import ClientCredentials, ServiceClient

PATH = "/api/identity/practitioners/lookups"
SCOPE = "practitioners:lookup"


class IdentityDocument(NamedTuple):
    """An identity document. A passport number is unique only together with the issuing country (`nationality`)."""

    document_type: str
    document_number: str
    nationality: str | None = None


class Found(BaseModel):
    """The owner of a document, or the code of the reason why none was found."""

    practitioner_id: str | None
    code: Literal["not_found", "document_ambiguous"] | None


class _Answer(BaseModel):
    items: list[Found]


class _Document(BaseModel):
    document_type: str
    document_number: str
    nationality: str | None


class _Lookup(BaseModel):
    documents: list[_Document]


class People:
    """Looks up owners. Document numbers are not stored in records."""

    def __init__(self, identity: ServiceClient, token: ClientCredentials) -> None:
        self._identity = identity
        self._token = token

    async def find(self, documents: Sequence[IdentityDocument]) -> list[Found]:
        """The owners of at most 1,000 documents, in order. Raises `Unavailable`, also if the token is refused."""
        if not documents:
            return []
        body = _Lookup(documents=[_Document(**document._asdict()) for document in documents])
        answer = await self._identity.ask(PATH, await self._token.get(), _Answer, body)
        if answer is None or len(answer.items) != len(documents):
            raise Unavailable("identity's look-up")
        return answer.items
