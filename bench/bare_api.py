"""The ceiling of the HTTP rows: only FastAPI and motor."""

import os
from datetime import UTC, date, datetime
from uuid import uuid4

import uvicorn
import uvloop
from fastapi import FastAPI
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel
from pymongo.write_concern import WriteConcern


class Data(BaseModel):
    """The fields of a certificate."""

    school: str
    level: str
    length: str
    major: str
    principal: str
    start: date
    end: date
    certificate_no: str
    issued_on: date
    registration_no: str | None = None


class NewRecord(BaseModel):
    kind: str
    data: Data


class Record(BaseModel):
    record_id: str
    practitioner_id: str
    kind: str
    version: int
    data: dict[str, str | None]
    created_at: datetime
    updated_at: datetime


class Records(BaseModel):
    items: list[Record]


def create_app(url: str, database: str) -> FastAPI:
    app = FastAPI()
    majority = WriteConcern(w="majority", j=True)
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(url, tz_aware=True)
    records = client.get_database(database, write_concern=majority)["records"]

    @app.get("/ready")
    async def ready() -> bool:
        return True

    @app.post("/practitioners/{practitioner_id}/records", status_code=201)
    async def create(practitioner_id: str, body: NewRecord) -> Record:
        now = datetime.now(UTC)
        document = {
            "practitioner_id": practitioner_id, "kind": body.kind, "version": 1,
            "data": body.data.model_dump(mode="json"), "created_at": now, "updated_at": now,
        }  # fmt: skip
        identity = str(uuid4())
        await records.insert_one({"_id": identity, **document})
        return Record.model_validate({"record_id": identity, **document})

    @app.get("/practitioners/{practitioner_id}/records")
    async def list_records(practitioner_id: str) -> Records:
        query = {"practitioner_id": practitioner_id}
        found = await records.find(query, {"history": False}).sort([("created_at", -1), ("_id", -1)]).to_list(50)
        return Records(items=[Record.model_validate({"record_id": each["_id"], **each}) for each in found])

    return app


def main() -> None:
    async def serve() -> None:
        app = create_app(os.environ["MONGO__URL"], os.environ["MONGO__DATABASE"])
        port = int(os.environ["HTTP__PORT"])
        await uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, access_log=False, log_level="warning")).serve()

    uvloop.run(serve())


if __name__ == "__main__":
    main()
