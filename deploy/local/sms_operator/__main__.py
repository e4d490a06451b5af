"""`python -m deploy.local.sms_operator`: configured by the environment, on the loopback address only."""

import os
from pathlib import Path

import uvicorn

from deploy.local.ports import HOST
from deploy.local.sms_operator.app import create_app
from deploy.local.sms_operator.inbox import Inbox
from deploy.local.sms_operator.tencent import Account, Tencent


def main() -> None:
    data = Path(os.environ["SMS_OPERATOR_DATA"])
    with Inbox.opened(data / "inbox.jsonl") as inbox:
        tencent = Tencent(Account.model_validate_json(os.environ["SMS_OPERATOR_TENCENT"]), inbox)
        app = create_app(inbox, [tencent])
        uvicorn.run(app, host=HOST, port=int(os.environ["SMS_OPERATOR_PORT"]), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
