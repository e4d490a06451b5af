"""`python -m deploy.server_exporter`: serves its metrics on the internal port."""

import asyncio
from functools import partial
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from deploy.server_exporter.measurements import keep, measure_kafka, measure_mongo
from kit import mongo
from kit.kafka.topics import read_file
from kit.observability import log
from kit.runtime.process import run_tasks
from kit.runtime.tls import ServerCertificate
from kit.settings import InternalSettings, KafkaSettings, MongoSettings, SettingsWithTls, read

TOPICS = Path(__file__).parents[1] / "topics.yaml"


class ExporterSettings(SettingsWithTls):
    """The servers, with the users of the principal `monitoring`, and where the metrics are."""

    model_config = SettingsConfigDict(frozen=True)

    kafka: KafkaSettings
    mongo: MongoSettings
    internal: InternalSettings = InternalSettings()
    log_level: str = "INFO"


async def serve(settings: ExporterSettings) -> None:
    """Measure and serve until a signal."""
    ours = {topic.name.partition(".")[0] for topic in read_file(TOPICS)}
    certificate = ServerCertificate.of(settings.tls)
    async with mongo.connect(settings.mongo, "server-exporter") as database:
        measurements = {
            "kafka": partial(measure_kafka, settings.kafka, ours),
            "mongo": partial(measure_mongo, database),
        }
        tasks = [partial(keep, name, measure) for name, measure in measurements.items()]
        renewals = [certificate.follow] if certificate else []
        await run_tasks([*tasks, *renewals], {}, settings.internal, certificate)


def main() -> None:
    """Run until a signal."""
    settings = read(ExporterSettings)
    log.configure("servers", "exporter", settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
