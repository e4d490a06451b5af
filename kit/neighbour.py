"""Another service's API, asked on behalf of a caller, with the caller's own token."""

from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from kit import log, tracing
from kit.errors import Unavailable

M = TypeVar("M", bound=BaseModel)
HIDDEN = (401, 403, 404)
logger = log.get(__name__)


class Neighbour:
    """One service; `http` knows its address and how long an answer may take."""

    def __init__(self, name: str, http: httpx2.AsyncClient) -> None:
        self._name, self._http = name, http

    async def ask(self, path: str, token: str, answer: type[M]) -> M | None:
        """What it answers the owner of the token; None when they may not see it. Raises `Unavailable`."""
        try:
            response = await self._http.get(path, headers={"Authorization": f"Bearer {token}", **tracing.headers()})
            if response.status_code in HIDDEN:
                return None
            return answer.model_validate(response.raise_for_status().json())
        except (httpx2.HTTPError, ValidationError, ValueError) as error:
            logger.warning("a neighbour could not be asked", neighbour=self._name, error=type(error).__name__)
            raise Unavailable(self._name) from error
