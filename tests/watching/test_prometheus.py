"""The stack's Prometheus scrapes every process and evaluates the rules of production."""

import yaml

from deploy.local.environment import internals_of
from deploy.local.prometheus import RULES
from tests.support.prometheus import Prometheus
from tests.support.stack import RunningStack
from tests.support.waiting import eventually


async def test_every_process_is_scraped(stack: RunningStack, prometheus: Prometheus) -> None:
    wanted = set(internals_of(stack.plan))

    async def scraped() -> bool:
        return {each["metric"]["process"] for each in await prometheus.ask('up{job="processes"} == 1')} == wanted

    await eventually(scraped, 30, "every process is up", pause=0.5)


async def test_a_process_exports_its_readiness_checks(prometheus: Prometheus) -> None:
    async def exported() -> bool:
        found = await prometheus.ask("check_ok")
        checks = {(each["metric"]["process"], each["metric"]["check"]) for each in found}
        return checks > {
            ("records-api", "mongo"), ("records-worker", "kafka"), ("records-worker", "publisher"),
            ("records-worker", "records.attachments"), ("identity-api", "redis"), ("identity-api", "bucket"),
            ("notify-worker", "sender"), ("portal-api", "fonts"),
        }  # fmt: skip

    await eventually(exported, 30, "the checks are exported", pause=0.5)


async def test_it_evaluates_the_rules_of_production_without_an_error(prometheus: Prometheus) -> None:
    groups = (await prometheus.get("rules"))["groups"]
    ours = [group for path in RULES.glob("*.yaml") for group in yaml.safe_load(path.read_text())["groups"]]
    assert {group["name"]: len(group["rules"]) for group in groups} == {
        group["name"]: len(group["rules"]) for group in ours
    }
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []
