"""Portraits as earlier versions of identity stored them: outside any folder."""

import json

from bson import json_util

from kit.core.ids import secret_id
from kit.files.blobs import Bucket
from kit.mongo import Database


async def make_loose(database: Database, bucket: Bucket, person_id: str) -> str:
    """Moves a person's portrait out of its folder. Returns its new key."""
    person = await database["practitioners"].find_one({"_id": person_id}) or {}
    key, loose = str(person["portrait_key"]), f"portraits/{secret_id()}"
    await bucket.put(loose, await bucket.named(key), "application/octet-stream")
    await bucket.delete(key)
    document = json.loads(json_util.dumps(person).replace(key, loose))
    del document["folder"]
    await database["practitioners"].replace_one({"_id": person_id}, json_util.loads(json.dumps(document)))
    return loose
