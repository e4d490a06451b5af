"""Which service a path reaches, by the Caddyfile and by the chart's Ingress; and which paths each service serves."""

import importlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from fastapi import FastAPI

from tests.support.chart import CHART, rendered
from tests.support.installation import process_settings, processes
from tests.support.setting_names import ROOT, SERVICES

INGRESS_RULE = """
          {{- range $service, $of := .Values.services }}
          - path: {{ ternary "/" (printf "/api/%s" $service) (eq $service "portal") }}
            pathType: Prefix
            backend: {service: {name: {{ $.Release.Name }}-{{ $service }}-api, port: {name: http}}}
          {{- range $of.paths }}
          - path: {{ . }}
            pathType: Exact
            backend: {service: {name: {{ $.Release.Name }}-{{ $service }}-api, port: {name: http}}}
          {{- end }}
          {{- end }}
"""


class CaddyRoutes:
    """The Caddyfile as Caddy reads it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        adapt = [f"{ROOT}/.venv/bin/caddy", "adapt", "--adapter", "caddyfile", "--config", f"{ROOT}/deploy/Caddyfile"]
        of_any_name = {**environment, "GATEWAY": ":80"}
        text = subprocess.run(adapt, env=of_any_name, check=True, capture_output=True, text=True).stdout
        (server,) = json.loads(text)["apps"]["http"]["servers"].values()
        self._routes = [(list(_paths(route)), list(_dialled(route))) for route in server["routes"] if "group" in route]

    def service(self, path: str) -> str | None:
        """The service of the first matching pattern; None: the gateway refuses the path."""
        dialled = next(to for patterns, to in self._routes if not patterns or any(_fits(path, at) for at in patterns))
        return dialled[0].split("-api")[0] if dialled else None


def _paths(route: Mapping[str, Any]) -> Iterator[str]:
    for match in route.get("match", []):
        yield from match["path"]


def _dialled(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [each["dial"] for each in part.get("upstreams", [])]
        for inner in part.values():
            yield from _dialled(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _dialled(inner)


def _fits(path: str, pattern: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


class IngressRoutes:
    """The chart's Ingress as Kubernetes reads it: an exact path first, then the longest prefix of whole segments."""

    def __init__(self, paths: list[tuple[str, str, str]]) -> None:
        self._exact = {path: service for path, kind, service in paths if kind == "Exact"}
        self._prefixes = sorted(
            ((path, to) for path, kind, to in paths if kind == "Prefix"), key=lambda at: -len(at[0])
        )

    def service(self, path: str) -> str | None:
        """None: no rule."""
        if path in self._exact:
            return self._exact[path]
        return next((to for at, to in self._prefixes if f"{path}/".startswith(f"{at.rstrip('/')}/")), None)


def ingress_by_values() -> IngressRoutes:
    """The Ingress from the values, without helm: follows the rule of the template."""
    assert INGRESS_RULE.strip() in (CHART / "templates/ingress.yaml").read_text(), "the rule here is another one"
    services = yaml.safe_load((CHART / "values.yaml").read_text())["services"]
    own = [("/" if name == "portal" else f"/api/{name}", "Prefix", name) for name in services]
    return IngressRoutes(own + [(path, "Exact", name) for name, of in services.items() for path in of.get("paths", [])])


def ingress_by_helm(tmp_path: Path) -> IngressRoutes:
    """The Ingress that helm renders."""
    (ingress,) = [each for each in rendered(tmp_path) if each["kind"] == "Ingress"]
    (rule,) = ingress["spec"]["rules"]
    assert {each["backend"]["service"]["port"]["name"] for each in rule["http"]["paths"]} == {"http"}
    return IngressRoutes([(each["path"], each["pathType"], _backend(each)) for each in rule["http"]["paths"]])


def _backend(path: Mapping[str, Any]) -> str:
    return str(path["backend"]["service"]["name"]).removeprefix("city-").removesuffix("-api")


async def served(secrets: Path) -> dict[str, set[str]]:
    """Every path of each service, from the application of its api process; needs no servers."""
    found = {}
    for service in SERVICES:
        settings = process_settings(f"{service}-api", processes()[f"{service}-api"].environment, secrets)
        async with importlib.import_module(f"services.{service}.wiring").SERVICE.api(settings) as api:
            found[service] = set(_paths_of(api.app))
    return found


def _paths_of(app: FastAPI) -> Iterator[str]:
    """The paths of the OpenAPI document, and the document itself; pages are not included."""
    if app.openapi_url:
        yield from [app.openapi_url, *app.openapi()["paths"]]
    else:
        yield from [route.path for included in app.routes for route in cast(Any, included).original_router.routes]
