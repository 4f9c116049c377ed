"""What moved between two runs: medians that differ by more than their trials do.

Pure. One trial says nothing of its spread, so a short run has to differ by more before it is said to have moved.
"""

from typing import NamedTuple

from benchmarks.results import Run

FASTER = ("delivered_per_s", "requests_per_s", "records_per_s", "rows_per_s", "events_per_s")
CHEAPER = (
    "latency_ms.p50", "latency_ms.p99", "server_cpu_s_per_1k", "kib_per_connection", "server_pss_mib", "seconds",
    "cpu_percent", "lost", "duplicated", "stored_lost", "stored_doubled", "behind_s",
)  # fmt: skip
SPREAD, ONE_TRIAL = 0.05, 0.20


class Change(NamedTuple):
    """A field of a measure then and now (medians); `better`: None when it did not move."""

    system: str
    measure: str
    field: str
    then: float
    now: float
    better: bool | None

    @property
    def percent(self) -> float:
        """The change in percent; from nothing to something counts as 100."""
        return 100.0 if self.then == 0 else (self.now / self.then - 1) * 100


def compare(then: Run, now: Run) -> list[Change]:
    """Return every headline field that both runs have, in the order of the new one."""
    changes = []
    for measure in now.measures:
        loaded = any(now.values(measure.system, measure.name, rate) for rate in FASTER)
        for field in FASTER + CHEAPER:
            if loaded and field == "seconds":  # how long a load went on says nothing of the system
                continue
            before = then.values(measure.system, measure.name, field)
            after = now.values(measure.system, measure.name, field)
            if before and after:
                changes.append(_change(measure.system, measure.name, field, then, now))
    return changes


def _change(system: str, measure: str, field: str, then: Run, now: Run) -> Change:
    before, after = then.values(system, measure, field), now.values(system, measure, field)
    old, new = then.median(system, measure, field) or 0.0, now.median(system, measure, field) or 0.0
    apart = min(after) > max(before) or max(after) < min(before)
    enough = ONE_TRIAL if len(before) == 1 or len(after) == 1 else SPREAD
    moved = apart and abs(new - old) > enough * abs(old)
    better = (new > old) == (field in FASTER) if moved else None
    return Change(system, measure, field, old, new, better)
