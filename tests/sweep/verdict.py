"""The verdict on a sweep: its violations, how long the servers took to drain, and what was done."""

from collections import Counter
from dataclasses import dataclass

from tests.support.checker import Violation
from tests.sweep.checks import check
from tests.sweep.drain import Drain, Drained
from tests.sweep.history import History
from tests.sweep.load import SweepLoad

DRAINED_WITHIN = 420
"""Two minutes are the pause of a webhook after its fourth failure; one more of them begins on a busy machine."""
SHOWN = 20


@dataclass(frozen=True)
class Verdict:
    """`drained`: by part the seconds after healing until it had everything, None if it had not."""

    violations: list[Violation]
    drained: Drained
    counts: dict[str, int]
    statuses: dict[str, int]
    snapshots: bool
    seed: int

    @property
    def acknowledged(self) -> int:
        """Writes of records that were acknowledged."""
        return sum(self.counts.get(f"{kind} ok", 0) for kind in ("create", "edit", "delete"))

    def text(self) -> str:
        """The report for people."""
        by_name = Counter(violation.invariant for violation in self.violations)
        drained = (f"{part} {'never' if took is None else f'{took:.1f} s'}" for part, took in self.drained.items())
        return "\n".join([
            f"seed {self.seed}: {self.acknowledged} acknowledged writes, {len(self.violations)} violations",
            "operations: " + _listed(self.counts),
            "answers: " + _listed(self.statuses),
            "drained: " + ", ".join(drained) + ("; a snapshot was published" if self.snapshots else ""),
            *(["violations: " + _listed(by_name)] if by_name else []),
            *(f"  {each.invariant}: {each.what}" for each in self.violations[:SHOWN]),
        ])  # fmt: skip


def _listed(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


async def verdict(load: SweepLoad, within: float = DRAINED_WITHIN) -> Verdict:
    """Stop the load, wait until everything is drained (`within` seconds at most), and check it."""
    drain = Drain(load, within)
    found = await drain.run()
    violations = [*check(load.history, found), *load.answers.wrong]
    statuses = dict(load.answers.statuses)
    return Verdict(violations, drain.took, counted(load.history), statuses, found.snapshots, load.seed)


def counted(history: History) -> dict[str, int]:
    """How many entries of each sort the log has."""
    found = Counter(f"{each.kind} {each.outcome}" for each in history.operations)
    found["repeated creates"] = len(history.created) - len({each.key for each in history.created})
    found["log-ins"], found["sessions"] = len(history.logins), sum(each.opened for each in history.logins)
    found["scans"] = len(history.uploads)
    found["bad scans"] = sum(not each.good for each in history.uploads)
    found.update(f"{each.channel} events" for each in history.deliveries)
    return dict(found)
