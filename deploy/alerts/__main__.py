"""`python -m deploy.alerts`: serves Alertmanager, and its own health and metrics, on the internal port."""

import uvicorn

from deploy.alerts.app import create_app
from deploy.alerts.settings import AlertSettings
from kit.observability import log
from kit.settings import read


def main() -> None:
    """Serve until a signal."""
    settings = read(AlertSettings)
    log.configure("alerts", "sender", settings.log_level)
    uvicorn.run(
        create_app(settings), host=settings.internal.host, port=settings.internal.port, log_config=None,
        access_log=False, server_header=False, timeout_graceful_shutdown=10, ws="none",
    )  # fmt: skip


if __name__ == "__main__":
    main()
