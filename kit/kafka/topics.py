"""Topics: `python -m kit.kafka.topics apply` creates the topics of deploy/topics.yaml.

It never changes a partition count.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import BaseModel

from kit import kafka
from kit.settings import ToolSettings, read

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Topic(BaseModel):
    """A topic of the file; without `partitions` it has as many as configured."""

    name: str
    partitions: int | None = None
    config: dict[str, str] = {}


def read_file(path: Path) -> list[Topic]:
    """The topics of the file; `profiles` are configurations that topics share."""
    content = yaml.safe_load(path.read_text())
    profiles = content["profiles"]
    return [
        Topic(name=name, partitions=entry.get("partitions"), config=profiles[entry["profile"]])
        for name, entry in content["topics"].items()
    ]


@app.callback()
def _topics() -> None:
    """Topics of deploy/topics.yaml."""


@app.command()
def apply(file: Annotated[Path, typer.Option()] = Path("deploy/topics.yaml")) -> None:
    """Create missing topics and update configurations; idempotent."""
    settings = read(ToolSettings)
    asyncio.run(apply_topics(settings, read_file(file)))


async def apply_topics(settings: ToolSettings, topics: list[Topic]) -> None:
    """Create or configure each topic. Exits with an error if a partition count differs: it can't be changed."""
    async with kafka.admin(settings.kafka) as admin:
        existing = await admin.topics()
        for topic in topics:
            wanted = topic.partitions or settings.kafka.partitions
            found = existing.get(topic.name)
            if found is None:
                await admin.create(topic.name, wanted, settings.kafka_replication, topic.config)
                typer.echo(f"created {topic.name} ({wanted} partitions)")
            elif found != wanted:
                typer.echo(
                    f"{topic.name} has {found} partitions, wanted {wanted}: the count is fixed for life", err=True
                )
                raise typer.Exit(1)
            else:
                await admin.configure(topic.name, topic.config)


if __name__ == "__main__":
    app()
