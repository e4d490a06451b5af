"""`python -m deploy.server_exporter`: serves its metrics on the internal port."""

import asyncio
import os
from functools import partial
from pathlib import Path

import uvicorn
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.server_exporter.measurements import keep, measure_kafka, measure_mongo
from kit import mongo
from kit.kafka.topics import read_file
from kit.observability import log
from kit.runtime import health
from kit.settings import InternalSettings, KafkaSettings, MongoSettings, read


class ExporterSettings(BaseSettings):
    """The servers, and where the metrics are; the user of MongoDB needs the role `clusterMonitor` and nothing else."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", secrets_dir=os.environ.get("SECRETS_DIR") or None, frozen=True
    )

    kafka: KafkaSettings
    mongo: MongoSettings
    internal: InternalSettings = InternalSettings()
    log_level: str = "INFO"
    measure_seconds: float = 15


async def serve(settings: ExporterSettings) -> None:
    """Measure and serve until a signal."""
    ours = {topic.name.partition(".")[0] for topic in read_file(Path("deploy/topics.yaml"))}
    config = uvicorn.Config(
        health.application({}), host=settings.internal.host, port=settings.internal.port, log_config=None,
        access_log=False, server_header=False, lifespan="off", ws="none",
    )  # fmt: skip
    async with mongo.connect(settings.mongo, "server-exporter") as database, asyncio.TaskGroup() as group:
        measuring = [
            group.create_task(keep("kafka", partial(measure_kafka, settings.kafka, ours), settings.measure_seconds)),
            group.create_task(keep("mongo", partial(measure_mongo, database), settings.measure_seconds)),
        ]
        await uvicorn.Server(config).serve()
        for task in measuring:
            task.cancel()


def main() -> None:
    """Run until a signal."""
    settings = read(ExporterSettings)
    log.configure("servers", "exporter", settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
