"""The demo's downstream system: the example that docs/subscribing.md recommends to copy."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from deploy.local.stack import ROOT

EVENT_ARRIVES_WITHIN = 30
_EXAMPLE = ROOT / "examples" / "subscriber" / "subscriber.py"


@dataclass(frozen=True)
class Downstream:
    """The table that the example writes while it runs."""

    database: Path

    @classmethod
    @asynccontextmanager
    async def opened(cls, facts: dict[str, Any]) -> AsyncIterator[Self]:
        """Start the subscriber of stack.json: it receives everything written after this returns."""
        user = {"KAFKA_USER": facts["subscriber"]["user"], "KAFKA_PASSWORD": facts["subscriber"]["password"]}
        environment = os.environ | user | {"KAFKA_CA": facts["ca"]}
        with TemporaryDirectory() as folder:
            database = Path(folder) / "records.db"
            where = ["--kafka", facts["kafka"], "--database", str(database), "--since", datetime.now(UTC).isoformat()]
            process = await asyncio.create_subprocess_exec(
                sys.executable, _EXAMPLE, *where, stdout=subprocess.PIPE, env=environment
            )
            try:
                assert process.stdout is not None
                await process.stdout.readline()  # it prints a line when it is up to date
                yield cls(database)
            finally:
                process.kill()
                await process.communicate()

    async def row(self, record_id: str, version: int) -> dict[str, Any]:
        """Wait until the table has this version of the record and return its row."""
        async with asyncio.timeout(EVENT_ARRIVES_WITHIN):
            while True:
                row = self._row(record_id)
                if row.get("version") == version:
                    return row
                await asyncio.sleep(0.005)

    def _row(self, record_id: str) -> dict[str, Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM records WHERE record_id = ?", (record_id,)).fetchone()
        return dict(found) if found else {}
