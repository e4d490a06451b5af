"""`python -m bench capacity`: prints the tables, or writes them into docs/capacity.md."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from bench.capacity import Figures, Plan
from bench.capacity_tables import page
from bench.cost import FIGURES
from kit.kafka.topics import read_file

PAGE = Path("docs/capacity.md")
BEGIN, END = "<!-- printed by `make capacity` -->\n", "<!-- end of what is printed -->"
VALUES, TOPICS = Path("deploy/helm/values.yaml"), Path("deploy/topics.yaml")
MIX = {"create": 0.5, "edit": 0.5, "read": 1.0, "list": 1.0, "page": 5.0, "login": 0.2, "upload": 0.3, "feed": 0.02}
DEFAULT = Plan(MIX)


def capacity(
    *,
    create: Annotated[
        float, typer.Option(min=0, max=1, help="share of writes that create a record; the rest edit one")
    ] = MIX["create"],
    read: Annotated[float, typer.Option(min=0, help="for each write: reads of one record over the API")] = MIX["read"],
    list_: Annotated[float, typer.Option("--list", min=0, help="reads of a person's records")] = MIX["list"],
    pages: Annotated[float, typer.Option("--page", min=0, help="pages of the portal")] = MIX["page"],
    login: Annotated[float, typer.Option(min=0, help="log-ins with captcha, SMS code, session")] = MIX["login"],
    upload: Annotated[float, typer.Option(min=0, help="uploads of a scan, with its check")] = MIX["upload"],
    feed: Annotated[float, typer.Option(min=0, help="reads of 100 events of the change feed")] = MIX["feed"],
    utilisation: Annotated[
        float, typer.Option(min=0.05, max=1, help="share of each core in use")
    ] = DEFAULT.utilisation,
    members: Annotated[int, typer.Option(min=1, help="of a replica set; replicas of a partition")] = DEFAULT.members,
    copies: Annotated[int, typer.Option(min=1, help="of each object in S3")] = DEFAULT.copies,
    hours: Annotated[float, typer.Option(min=0, max=24, help="hours of each day with this rate")] = DEFAULT.hours,
    window_hours: Annotated[float, typer.Option(min=72, help="what the oplog covers")] = DEFAULT.window_hours,
    server_cores: Annotated[
        int, typer.Option(min=1, help="of the largest server for MongoDB or Kafka")
    ] = DEFAULT.server_cores,
    write: Annotated[bool, typer.Option(help="write the tables into docs/capacity.md")] = False,
) -> None:
    """Print cores, processes and disks for 100, 1,000 and 10,000 writes/s, from the figures of the bench."""
    mix = {"create": create, "edit": 1 - create, "read": read, "list": list_, "page": pages}
    mix |= {"login": login, "upload": upload, "feed": feed}
    text = tables(Plan(mix, utilisation, members, copies, hours, window_hours, server_cores))
    if write:
        PAGE.write_text(with_tables(PAGE.read_text(), text))
    print(text)


def tables(plan: Plan) -> str:
    """Return the tables for the figures in the repository, its topics, and the chart's values."""
    figures, topics = Figures.read(FIGURES), read_file(TOPICS)
    services = yaml.safe_load(VALUES.read_text())["services"]
    most = {f"{name}-api": int(each["api"]["most"]) for name, each in services.items() if "most" in each["api"]}
    measured = "Measured on {date} at commit {commit}: {cores} cores, {cpu}, load average {load}."
    return measured.format(**figures.measured) + "\n\n" + page(figures, plan, topics, most)


def with_tables(text: str, printed: str) -> str:
    """Return the page with these tables between its two marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{printed}\n{END}{rest.partition(END)[2]}"
