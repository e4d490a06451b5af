"""`python -m deploy.local.alert_inbox`: configured by the environment, on the loopback address only."""

import asyncio
import os

import uvicorn

from deploy.local.alert_inbox.app import Inbox, create_app
from deploy.local.alert_inbox.mailbox import Mailbox
from deploy.local.ports import HOST


async def serve() -> None:
    inbox = Inbox(
        os.environ["ALERT_INBOX_WECOM_KEY"],
        os.environ["ALERT_INBOX_DINGTALK_TOKEN"],
        os.environ["ALERT_INBOX_DINGTALK_SECRET"],
    )
    config = uvicorn.Config(
        create_app(inbox), host=HOST, port=int(os.environ["ALERT_INBOX_PORT"]),
        access_log=False, log_level="warning", timeout_graceful_shutdown=1,
    )  # fmt: skip
    mail = await asyncio.start_server(Mailbox(inbox.mail).serve, HOST, int(os.environ["ALERT_INBOX_MAIL_PORT"]))
    async with mail:
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(serve())
