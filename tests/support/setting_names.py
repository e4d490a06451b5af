"""The names of a service's settings in the environment and in secret files."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py"))


def roles(service: str) -> list[str]:
    """The processes of a service: `api`, and `worker` if it has one."""
    known = importlib.import_module(f"services.{service}.wiring").SERVICE
    return ["api", "worker"] if known.has("worker") else ["api"]


def settings_of(service: str) -> type[BaseSettings]:
    found: type[BaseSettings] = importlib.import_module(f"services.{service}.settings").Settings
    return found


def names_of(service: str) -> dict[str, FieldInfo]:
    """Every setting that the service reads, as `MONGO__URL`."""
    return dict(_names(settings_of(service)))


def secret_names(service: str) -> set[str]:
    """The settings with secret values."""
    return {name for name, field in names_of(service).items() if not field.repr or field.annotation is SecretStr}


def names_in_file(name: str, content: Mapping[str, object]) -> set[str]:
    """The settings in a secret file: the file `seal` with the key `current` is SEAL__CURRENT."""
    return {f"{name}__{key}".upper() for key in content}


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        group = _group(field)
        if group:
            yield from _names(group, f"{prefix}{name}__".upper())
        else:
            yield f"{prefix}{name}".upper(), field


def _group(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a group of settings, also of an optional one (`X | None`)."""
    either = (
        [field.annotation, *get_args(field.annotation)]
        if NoneType in get_args(field.annotation)
        else [field.annotation]
    )
    return next((each for each in either if isinstance(each, type) and issubclass(each, BaseModel)), None)
