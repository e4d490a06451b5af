"""`python -m deploy.access show|apply|secrets|grant|revoke|subscribers`."""

import asyncio
import json
import os
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from deploy.access import kafka, mongo, redis, s3
from deploy.access.principals import Principal, principals
from deploy.access.secrets import Installation
from kit.files import blobs
from kit.settings import BlobSettings, KafkaSettings, MongoSettings, SettingsWithTls, ToolSettings, read

_LOGIN = re.compile(r"mongodb://([^:]+):([^@]+)@")
T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
grant = typer.Typer(no_args_is_help=True)
revoke = typer.Typer(no_args_is_help=True)
app.add_typer(grant, name="grant")
app.add_typer(revoke, name="revoke")
Name = Annotated[str, typer.Argument(help="its groups begin with this name and a dot")]


class Buckets(BlobSettings):
    """The S3 server, with keys that may create buckets."""

    bucket: str = ""


class Settings(SettingsWithTls):
    """Where the plan is applied, as administrator: servers without settings are left out.

    `passwords`: of every principal, by name. `mongo_members`: the addresses of the replica set's members, separated by
    commas; `initiate` runs beside the first.
    """

    kafka: KafkaSettings | None = None
    mongo: MongoSettings | None = None
    blobs: Buckets | None = None
    passwords: dict[str, str]
    mongo_members: str = ""


@app.command()
def show(name: Annotated[str | None, typer.Argument(help="a principal")] = None) -> None:
    """Show what each principal may do, or one of them, as JSON."""
    chosen = principals() if name is None else {name: principals()[name]}
    typer.echo(json.dumps({each: _shown(principal) for each, principal in chosen.items()}, indent=1))


def _shown(principal: Principal) -> dict[str, object]:
    shown: dict[str, object] = {
        "kafka": [f"{grant.operation} {grant.resource} {grant.name}" for grant in principal.kafka],
        "mongo": mongo.privileges(principal),
        "redis": redis.rules(principal) if principal.commands else "",
        "buckets": [f"{action}:{grant.bucket}" for grant in principal.buckets for action in grant.actions],
    }
    return {server: grants for server, grants in shown.items() if grants}


@app.command()
def apply() -> None:
    """Create users with the plan's grants in Kafka and MongoDB, and the buckets; remove what is no longer granted.

    Redis and SeaweedFS read theirs from files that `secrets` makes.
    """
    asyncio.run(_apply(read(Settings)))


async def _apply(settings: Settings) -> None:
    if settings.mongo:
        await mongo.apply(settings.mongo, settings.passwords)
        typer.echo("MongoDB: users and roles are as planned")
    if settings.kafka:
        added, removed = await kafka.apply(settings.kafka, settings.passwords)
        typer.echo(f"Kafka: {added} entries added, {removed} removed")
    if settings.blobs:
        for name in s3.buckets():
            async with blobs.connect(settings.blobs.model_copy(update={"bucket": name})) as bucket:
                await bucket.prepare()
        typer.echo(f"S3: {', '.join(s3.buckets())}")


@app.command()
def initiate() -> None:
    """Initiate MongoDB's replica set, and create its administrator: from the first member's own network."""
    settings = read(Settings)
    login = _LOGIN.match(settings.mongo.url.get_secret_value()) if settings.mongo else None
    if settings.mongo is None or login is None or not settings.mongo_members:
        raise typer.BadParameter("needs MONGO__URL, with the administrator's name and password, and MONGO_MEMBERS")
    members = settings.mongo_members.split(",")
    local = f"mongodb://localhost:{members[0].rpartition(':')[2]}/?directConnection=true"
    nobody = MongoSettings.model_validate({"url": local, "ca": settings.mongo.ca})
    asyncio.run(mongo.initiate(nobody, members, *login.groups()))


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument()] = Path("secrets"),
    release: Annotated[str, typer.Option(help="the chart's release, whose pods the certificates are for too")] = "",
    rotate: Annotated[str, typer.Option(help="a principal that gets another password")] = "",
) -> None:
    """Make the secrets of an installation that are missing, and renew certificates that near their end."""
    made = Installation(folder, os.environ.get("KAFKA_PUBLIC", "127.0.0.1").partition(":")[0], release)
    if rotate and rotate not in principals():
        raise typer.BadParameter(f"no such principal; there are {', '.join(principals())}")
    made.rotate(rotate) if rotate else made.make()
    for carrier in ("tencent", "aliyun"):
        if not json.loads((folder / "notify" / carrier).read_text())["sign_name"]:
            typer.echo(f"fill in the account at the SMS carrier: {folder}/notify/{carrier}")
    reached = [json.loads((folder / "alerts" / name).read_text()) for name in ("wecom", "dingtalk", "mail")]
    if not any(each.get("url") or each.get("recipients") for each in reached):
        typer.echo(f"alerts reach nobody yet: {folder}/alerts/wecom, dingtalk, mail; also {folder}/alerts/heartbeat")


@grant.callback()
def _grant() -> None:
    """Let a system read events."""


@grant.command("subscriber")
def grant_subscriber(
    name: Name,
    topics: Annotated[str, typer.Option(help="separated by commas")] = "records.changes,identity.changes",
) -> None:
    """Create the user `subscriber-NAME`, or change its topics and password. Prints the password, once."""
    try:
        password = _run(kafka.grant_subscriber(read(ToolSettings).kafka, name, topics.split(",")))
    except kafka.RefusedGrant as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(json.dumps({"user": f"{kafka.SUBSCRIBER}{name}", "password": password, "groups": f"{name}."}))


@revoke.callback()
def _revoke() -> None:
    """End a system's access to events."""


@revoke.command("subscriber")
def revoke_subscriber(name: Name) -> None:
    """Remove the user and what it was granted."""
    if not _run(kafka.revoke_subscriber(read(ToolSettings).kafka, name)):
        raise typer.BadParameter(f"there is no subscriber {name}")


@app.command()
def subscribers() -> None:
    """List the subscribers and their topics."""
    for name, topics in _run(kafka.subscribers(read(ToolSettings).kafka)).items():
        typer.echo(f"{name}: {', '.join(topics)}")


def _run(action: Coroutine[object, object, T]) -> T:
    return asyncio.run(action)


if __name__ == "__main__":
    app()
