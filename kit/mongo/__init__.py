"""MongoDB: the only importer of its drivers. Versioned documents, projections, and the change stream."""

from kit.core.documents import Cursor
from kit.mongo.changes import (
    RAW,
    Backlog,
    Changes,
    ChangeStream,
    ClusterTime,
    PositionGone,
    backlog,
    cluster_time,
    oplog_seconds,
    page,
    position_from_json,
    position_to_json,
    token_time,
)
from kit.mongo.collection import DOCUMENT_FULL, NEWEST, OLDEST, Collection
from kit.mongo.conflicts import retry_on_conflict
from kit.mongo.database import Conflict, Database, Duplicate, Fields, Index, Session, connect, ping, translate_errors
from kit.mongo.projection import Projection
from kit.mongo.sequence import NumberedCollection

__all__ = [
    "DOCUMENT_FULL", "NEWEST", "OLDEST", "RAW", "Backlog", "ChangeStream", "Changes", "ClusterTime", "Collection",
    "Conflict", "Cursor", "Database", "Duplicate", "Fields", "Index", "NumberedCollection", "PositionGone",
    "Projection", "Session", "backlog", "cluster_time", "connect", "oplog_seconds", "page", "ping",
    "position_from_json", "position_to_json", "retry_on_conflict", "token_time", "translate_errors",
]  # fmt: skip
