"""Every public path reaches the service that serves it, through the gateway and through the chart's Ingress."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from tests.support.chart import with_helm
from tests.support.installation import compose
from tests.support.routes import CaddyRoutes, ingress_by_helm, ingress_by_values, served
from tests.support.setting_names import SERVICES

INTERNAL = {"/healthz", "/readyz", "/metrics"}


class Routes(Protocol):
    """The routes of the gateway or of the Ingress."""

    def service(self, path: str) -> str | None:
        """Which service is asked."""
        ...


def of_the_gateway(_folder: Path) -> Routes:
    return CaddyRoutes(compose()["gateway"].environment)


def of_the_chart(_folder: Path) -> Routes:
    return ingress_by_values()


every_way_in = pytest.mark.parametrize(
    "way_in", [of_the_gateway, of_the_chart, pytest.param(ingress_by_helm, marks=with_helm)]
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def paths(secrets: Path) -> dict[str, set[str]]:
    return await served(secrets)


@every_way_in
async def test_every_path_reaches_the_service_that_serves_it(
    way_in: Callable[[Path], Routes], paths: dict[str, set[str]], tmp_path: Path
) -> None:
    routes = way_in(tmp_path)
    asked = {path: service for service, own in paths.items() for path in own}
    assert set(asked.values()) == set(SERVICES)
    filled = {path: re.sub(r"\{[^}]+\}", "0198c0de", path) for path in asked}
    assert {path: routes.service(filled[path]) for path in asked} == asked


async def test_internal_endpoints_are_on_no_public_port(paths: dict[str, set[str]]) -> None:
    assert not INTERNAL & {path for own in paths.values() for path in own}


def test_the_gateway_refuses_a_path_of_no_service() -> None:
    routes = CaddyRoutes(compose()["gateway"].environment)
    assert {routes.service(f"/api/{name}") for name in ("", "nobody", "internal/metrics", "portal/x")} == {None}
