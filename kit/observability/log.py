"""Logs: JSON lines on standard output, with personal data and secrets redacted. The only importer of structlog."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import cache
from types import ModuleType
from typing import cast

import orjson

from kit.observability import tracing

_rich = sys.modules.get("rich")
sys.modules["rich"] = cast(
    ModuleType, None
)  # keeps structlog from importing it for its console renderer: 5 MB a process
try:
    import structlog
finally:
    sys.modules.pop("rich")
    if _rich:
        sys.modules["rich"] = _rich

# what is redacted, by the name of the field …
SECRET_FIELDS = re.compile(
    r"phone|document_number|password|secret|token|totp|address_of|^code$|captcha_answer|portrait|authorization|cookie|sealed"
)
# … and by its form, in every value: document numbers, mobile numbers, bearer tokens
SECRET_SHAPES = re.compile(
    r"(?<![0-9A-Za-z-])(?:\d{17}[\dXx]|\d{15}|1[3-9]\d{9})(?![0-9A-Za-z-])|eyJ[\w-]+\.[\w-]+\.[\w-]*"
)
REDACTED = "[redacted]"


def configure(service: str, process: str, level: str = "INFO") -> None:
    """Write the lines of structlog and of the standard library's loggers to standard output as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        *([_trace] if tracing.on() else []),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _origin(service, process),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_json)],
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    _capture_standard_library(shared, level)


def _capture_standard_library(shared: list[structlog.typing.Processor], level: str) -> None:
    """Write what libraries log with `logging` in the same form."""
    handler = logging.StreamHandler(sys.stdout)
    render = structlog.processors.JSONRenderer(serializer=lambda event, **_: _json(event).decode())
    named = [structlog.stdlib.add_logger_name, *shared]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=named, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("aiokafka", "kafka", "httpx2", "httpcore2", "uvicorn.access", "fido2"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _json(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module: `logger = log.get(__name__)`. The event is a short constant text, facts are fields."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def bind(**facts: str) -> None:
    """Add these fields to every further line of this request or task."""
    structlog.contextvars.bind_contextvars(**facts)


def bound(name: str) -> str:
    """The value of a bound field; empty without it."""
    return str(structlog.contextvars.get_contextvars().get(name, ""))


def unbind() -> None:
    """Remove all bound fields, before another request."""
    structlog.contextvars.clear_contextvars()


def unfiltered(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines are written at every log level."""
    every = structlog.make_filtering_bound_logger(logging.NOTSET)
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(None, wrapper_class=every, module=name)
    return logger


def redact(
    _logger: structlog.typing.WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> Mapping[str, object]:
    """Redact fields named like a secret and texts of a secret's form, at any depth. A structlog processor."""
    return {name: _clean(name, value) for name, value in event.items()}


@cache
def _secret(name: str) -> bool:
    return SECRET_FIELDS.search(name) is not None


def _clean(name: str, value: object) -> object:
    if _secret(name) and not isinstance(value, bool | int | float):
        return REDACTED
    if isinstance(value, str):
        return SECRET_SHAPES.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(name, item) for item in value]
    return value if isinstance(value, bool | int | float | None) else SECRET_SHAPES.sub(REDACTED, str(value))


def _trace(
    _logger: structlog.typing.WrappedLogger, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    if found := tracing.trace_id():
        event["trace_id"] = found
    return event


def _origin(service: str, process: str) -> structlog.typing.Processor:
    def add(
        _logger: structlog.typing.WrappedLogger, _method: str, event: MutableMapping[str, object]
    ) -> MutableMapping[str, object]:
        event["service"], event["process"] = service, process
        return event

    return add
