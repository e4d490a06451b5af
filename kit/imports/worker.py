"""Runs imports in the worker. After an interruption the next worker continues after the last stored batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

from kit.core.clock import Clock
from kit.core.errors import NotFound, Unavailable
from kit.files.blobs import ChecksumMismatch
from kit.formats.tabular import LOST_DIGITS, Row, read_rows
from kit.imports.model import Import, ImportFiles, Imports, Outcome, RowError, Target, Values, category, column_letter
from kit.mongo import Conflict, retry_on_conflict
from kit.observability import log, metrics
from kit.runtime.periodic import every
from kit.security.encryption import DecryptionError

LOST = RowError(
    "", "digits_lost", "该单元格是数字格式且超过15位，末尾数字已丢失，请将整列设为文本格式后重新填写完整号码"
)
logger = log.get(__name__)


@dataclass(frozen=True)
class ImportPolicy:
    """`batch`: rows written and stored at a time; `tries`: of a batch while others change the same documents."""

    batch: int = 500
    tries: int = 5
    pause_seconds: float = 0.3


class ImportWorker:
    """Processes one import after the other. A batch may be written twice: writes are idempotent and counted once."""

    def __init__(
        self, imports: Imports, files: ImportFiles, targets: Mapping[str, Target], runner: str, clock: Clock,
        policy: ImportPolicy = ImportPolicy(),
    ) -> None:  # fmt: skip
        self._imports = imports
        self._files = files
        self._targets = targets
        self._runner = runner
        self._clock = clock
        self._policy = policy

    async def run(self) -> None:
        """Work until cancelled."""
        await every(self._policy.pause_seconds, self._take_all, "imports")

    async def _take_all(self) -> None:
        while await self._take_one():
            pass

    async def _take_one(self) -> bool:
        job = await self._imports.claim(self._runner, self._clock.now())
        if job is None:
            return False
        logger.info("import progress", import_id=job.id, kind=job.kind, rows_done=job.rows_done)
        try:
            await self._carry_out(job)
        except Conflict:
            logger.warning("import taken over", import_id=job.id)
        except Unavailable:
            raise
        except (NotFound, ChecksumMismatch, DecryptionError):
            await self._fail(job, "the rows can't be read")
        except Exception as error:  # one file must not crash the worker repeatedly
            logger.error("import aborted", import_id=job.id, exc_info=error)
            await self._fail(job, type(error).__name__)
        return True

    async def _fail(self, job: Import, why: str) -> None:
        logger.error("import failed", import_id=job.id, why=why)
        current = await self._imports.get(job.id)
        if current and current.runner == self._runner:
            await self._end(current, "failed")

    async def _end(self, job: Import, state: Literal["finished", "failed"]) -> None:
        """End the import. After a crash between the two writes the next worker finds no rows left and repeats this."""
        await self._files.keep(job.folder, b"")
        await self._imports.replace(job.ended(state, at=self._clock.now(), by=self._by))

    @property
    def _by(self) -> str:
        return f"worker:{self._runner}"

    async def _carry_out(self, job: Import) -> None:
        target = self._targets[job.kind]
        seen = dict[str, int]()
        read = 0
        for batch in _batches(read_rows(await self._files.rows(job)), self._policy.batch):
            rows = [job.named(row.cells) for row in batch]
            faults = [_faults(job, target, row, values, seen) for row, values in zip(batch, rows, strict=True)]
            read += len(batch)
            if read > job.rows_done:
                outcomes = await self._written(job, target, rows, faults)
                job = await self._store(job, target, batch, outcomes)
        await self._end(job, "finished")

    async def _written(
        self, job: Import, target: Target, rows: Sequence[Values], faults: Sequence[tuple[RowError, ...]]
    ) -> list[Outcome]:
        sound = [row for row, wrong in zip(rows, faults, strict=True) if not wrong]
        # after a conflict all are tried again: those that were written are recognised
        written = iter(await retry_on_conflict(partial(target.write, job, sound), self._policy.tries))
        return [wrong or next(written) for wrong in faults]

    async def _store(self, job: Import, target: Target, batch: Sequence[Row], outcomes: Sequence[Outcome]) -> Import:
        """Store the outcome of a batch: the errors before the position, which implies them."""
        titles = {column.name: column.title for column in target.columns}
        errors = [
            [str(row.line), titles.get(wrong.column, wrong.column), wrong.code, wrong.message]
            for row, outcome in zip(batch, outcomes, strict=True)
            if not isinstance(outcome, str)
            for wrong in outcome
        ]
        if errors:
            await self._files.note(job, errors)
        advanced = job.advanced(outcomes, at=self._clock.now(), by=self._by)
        await self._imports.replace(advanced)
        for outcome in outcomes:
            metrics.import_rows.labels(job.kind, category(outcome)).inc()
        return advanced


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


def _faults(job: Import, target: Target, row: Row, values: Values, seen: dict[str, int]) -> tuple[RowError, ...]:
    """The errors of a row that do not depend on its kind."""
    nameless = [place for place, cell in enumerate(row.cells) if cell and not _name(job, place)]
    if nameless:
        letters = "、".join(map(column_letter, nameless))
        return (RowError(letters, "no_title", f"{letters} 列没有列标题，请删除该列内容或按模板补上标题"),)
    lost = tuple(LOST._replace(column=name) for name, cell in values.items() if cell == LOST_DIGITS)
    key = target.key(values)
    first = seen.setdefault(key, row.line) if key else row.line
    return lost or (_twice(first) if first != row.line else ())


def _name(job: Import, place: int) -> str | None:
    return job.columns[place] if place < len(job.columns) else None


def _twice(first: int) -> tuple[RowError, ...]:
    return (RowError("", "duplicate", f"与第 {first} 行重复，请只保留一行"),)
