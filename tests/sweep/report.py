"""The report of a sweep: for each mix what was provoked, what the clients saw, and what was violated."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.sweep.faults import Mix
from tests.sweep.schedule import Hit, pause_of_writes
from tests.sweep.verdict import Verdict


@dataclass(frozen=True)
class Round:
    """One mix: its faults, the pause of writes after each, and the verdict. `healed`: until all was ready again."""

    mix: Mix
    hits: Sequence[Hit]
    pauses: Sequence[float]
    healed: float
    verdict: Verdict

    @classmethod
    def of(
        cls, mix: Mix, hits: Sequence[Hit], acknowledged: Sequence[float], healed: float, verdict: Verdict
    ) -> "Round":
        """Measure the pause after each fault."""
        return cls(mix, hits, [pause_of_writes(hit, acknowledged) for hit in hits], healed, verdict)

    def text(self) -> str:
        """The round for people."""
        lines = [f"--- {self.mix}: all ready {self.healed:.0f} s after the last fault", self.verdict.text()]
        pauses: dict[tuple[str, str], list[float]] = defaultdict(list)
        for hit, pause in zip(self.hits, self.pauses, strict=True):
            pauses[hit.fault.action, hit.fault.target].append(pause)
        lines += [
            f"  {action} {target}: {len(found)}, pause of writes {median(found):.1f} s, at most {max(found):.1f} s"
            for (action, target), found in sorted(pauses.items())
        ]
        return "\n".join(lines)


@dataclass
class Report:
    """All rounds of a sweep, which the seed repeats."""

    seed: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return sum(bool(hit.instance) for each in self.rounds for hit in each.hits)

    @property
    def acknowledged(self) -> int:
        return sum(each.verdict.acknowledged for each in self.rounds)

    @property
    def violations(self) -> int:
        return sum(len(each.verdict.violations) for each in self.rounds)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        rounds = [
            {
                "mix": each.mix,
                "faults": [
                    {"fault": str(hit.fault), "instance": hit.instance, "pause_seconds": round(pause, 2)}
                    for hit, pause in zip(each.hits, each.pauses, strict=True)
                ],
                "healed_seconds": each.healed,
                "counts": each.verdict.counts,
                "statuses": each.verdict.statuses,
                "drained_seconds": dict(each.verdict.drained),
                "violations": [f"{violation.invariant}: {violation.what}" for violation in each.verdict.violations],
            }
            for each in self.rounds
        ]
        path.write_text(json.dumps({"seed": self.seed, "rounds": rounds}, ensure_ascii=False, indent=1) + "\n")
