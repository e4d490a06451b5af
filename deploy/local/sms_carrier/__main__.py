"""`python -m deploy.local.sms_carrier`: configured by the environment, on the loopback address by default."""

import os
from pathlib import Path

import uvicorn

from deploy.local.ports import HOST
from deploy.local.sms_carrier import aliyun, tencent
from deploy.local.sms_carrier.app import Carrier, create_app
from deploy.local.sms_carrier.callbacks import Callbacks
from deploy.local.sms_carrier.inbox import Inbox


def main() -> None:
    data, callbacks = Path(os.environ["SMS_OPERATOR_DATA"]), Callbacks()
    of_tencent = tencent.Account.model_validate_json(os.environ["SMS_OPERATOR_TENCENT"])
    of_aliyun = aliyun.Account.model_validate_json(os.environ["SMS_OPERATOR_ALIYUN"])
    with Inbox.opened(data / "inbox.jsonl") as inbox:
        carriers: list[Carrier] = [
            tencent.Tencent(of_tencent, inbox, callbacks),
            aliyun.Aliyun(of_aliyun, inbox, callbacks),
        ]
        uvicorn.run(
            create_app(inbox, carriers),
            host=os.environ.get("SMS_OPERATOR_HOST", HOST), port=int(os.environ["SMS_OPERATOR_PORT"]),
            access_log=False, log_level="warning", timeout_graceful_shutdown=1,
        )  # fmt: skip


if __name__ == "__main__":
    main()
