"""`python -m deploy.local.card_reader`: configured by the environment; a clerk's own machine has it on the loopback."""

import os

import uvicorn

from deploy.local.card_reader.app import create_app
from deploy.local.ports import HOST


def main() -> None:
    host = os.environ.get("CARD_READER_HOST", HOST)
    uvicorn.run(
        create_app(os.environ["CARD_READER_PAGES"], host), host=host, port=int(os.environ["CARD_READER_PORT"]),
        access_log=False, log_level="warning", timeout_graceful_shutdown=1,
    )  # fmt: skip


if __name__ == "__main__":
    main()
