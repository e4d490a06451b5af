"""The route of the change feed."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, JsonValue

from kit.core.errors import InvalidFields
from kit.http.callers import CallerDep
from kit.http.routes import Out, StrictRoute
from services.subscriptions.api import ApiDep
from services.subscriptions.domain import Moment
from services.subscriptions.feed.service import FeedQuery
from services.subscriptions.settings import MAX_WAIT

router = APIRouter(route_class=StrictRoute)


class ChangeOut(Out):
    """An event in CloudEvents' JSON format; `data` matches its type's schema, null if a document was removed."""

    model_config = ConfigDict(extra="allow")

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    sequence: str | None = None
    partitionkey: str | None = None
    datacontenttype: str | None = None
    data: dict[str, JsonValue] | None


class ChangesOut(Out):
    """Events, and the cursor of the next page, which is never null."""

    items: list[ChangeOut]
    next_cursor: str


CHANGES = "/api/records/changes"


@router.get(CHANGES, response_model=ChangesOut)
async def get_changes(
    services: ApiDep,
    caller: CallerDep,
    after: Annotated[str | None, Query(description="the `next_cursor` of the last answer")] = None,
    since: Annotated[
        Moment | None, Query(description="where to begin without a cursor; else from the beginning")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    wait: Annotated[int, Query(ge=0, le=MAX_WAIT, description="seconds to wait for a change when there is none")] = 0,
) -> Response:
    """The events of all records after a cursor, in order for each person: those of the topic records.changes."""
    if after is not None and since is not None:
        raise InvalidFields.one("since", "not_both", "after 与 since 只能使用其中之一")
    found, cursor = await services.feed.changes(caller, FeedQuery(after, since, limit, wait))
    items = b",".join(event.body for event in found)
    body = b'{"items":[' + items + b'],"next_cursor":"' + cursor.encode() + b'"}'
    return Response(body, media_type="application/json")
