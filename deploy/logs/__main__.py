"""`python -m deploy.logs ship|receive`; health and metrics are on the internal port."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from deploy.logs import receiver
from deploy.logs.settings import ReceiveSettings, ShipSettings
from deploy.logs.shipper import Shipper
from kit.observability import log
from kit.runtime.process import Task, run_tasks
from kit.runtime.tls import ServerCertificate
from kit.settings import read


def main() -> None:
    """Run until a signal."""
    match sys.argv[1:]:
        case ["ship"]:
            ship = read(ShipSettings)
            _serve("shipper", ship, [Shipper(ship).run])
        case ["receive"]:
            receive = read(ReceiveSettings)
            _serve("receiver", receive, [partial(receiver.run, receive), partial(receiver.keep_tidy, receive.logs)])
        case _:
            sys.exit(__doc__)


def _serve(process: str, settings: ShipSettings | ReceiveSettings, tasks: Sequence[Task]) -> None:
    log.configure("logs", process, settings.log_level)
    certificate = ServerCertificate.of(settings.tls)
    renewals = [certificate.follow] if certificate else []
    asyncio.run(run_tasks([*tasks, *renewals], {}, settings.internal, certificate))


if __name__ == "__main__":
    main()
