"""The tables of the page: which numbers of which measures stand in which columns.

Pure. A cell is the median over all trials, with the lowest and the highest where there were several.
"""

import statistics
from collections.abc import Iterable, Sequence

from benchmarks.charts import number_text
from benchmarks.comparison import Change
from benchmarks.results import Measure, Run, numbers
from benchmarks.targets import TARGETS

Column = tuple[str, str]
"""A heading, and the field of a trial."""

CPU: Sequence[Column] = (
    ("CPU s / 1,000", "server_cpu_s_per_1k"), ("memory MiB", "server_pss_mib"), ("others' CPU s", "other_cpu_s"),
)  # fmt: skip
TALK: Sequence[Column] = (
    ("delivered / s", "delivered_per_s"), ("p50 ms", "latency_ms.p50"), ("p95 ms", "latency_ms.p95"),
    ("p99 ms", "latency_ms.p99"), ("ack p50 ms", "ack_ms.p50"), ("lost", "lost"), ("doubled", "duplicated"),
    ("reordered", "reordered"), ("errors", "errors"), ("not stored", "stored_lost"),
    ("stored twice", "stored_doubled"), ("tables behind s", "behind_s"), ("caught up s", "caught_up_s"), *CPU,
)  # fmt: skip
ASKED: Sequence[Column] = (
    ("requests / s", "requests_per_s"), ("p50 ms", "latency_ms.p50"), ("p99 ms", "latency_ms.p99"),
    ("bytes", "bytes_per_answer"), ("errors", "errors"), ("stale", "stale"), ("not stored", "stored_lost"), *CPU,
)  # fmt: skip
WAITING: Sequence[Column] = (
    ("sockets", "connections"), ("failed", "connections_failed"), ("KiB each", "kib_per_connection"),
    ("connects / s", "connects_per_s"), ("CPU, % of a core", "cpu_percent"),
    ("the edge's, %", "edge_cpu_percent"), ("memory MiB", "server_pss_mib"), ("seconds", "seconds"),
    ("missed", "missed"), ("doubled", "duplicated"), ("reordered", "reordered"),
    ("the edge's memory before, MiB", "edge_mib_before"), ("after", "edge_mib_after"),
)  # fmt: skip
PARTS: Sequence[Column] = (
    ("records / s", "records_per_s"), ("rows / s", "rows_per_s"), ("p50 ms", "latency_ms.p50"),
    ("p99 ms", "latency_ms.p99"),
)  # fmt: skip


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def of_measures(measures: Iterable[Measure], columns: Sequence[Column], what: str = "system") -> str:
    """Return a row for each measure, without the columns that none of them has."""
    listed = list(measures)
    used = [column for column in columns if any(column[1] in trial for one in listed for trial in one.trials)]
    rows = [
        [one.system if what == "system" else one.name, str(len(one.trials)), *(cell(one, field) for _, field in used)]
        for one in listed
    ]
    return markdown([what, "trials", *(heading for heading, _ in used)], rows)


def cell(measure: Measure, field: str) -> str:
    """Write a field's median, and its lowest and highest trial."""
    values = numbers(measure, field)
    if not values:
        return "-"
    median = number_text(statistics.median(values))
    low, high = number_text(min(values)), number_text(max(values))
    return median if low == high else f"{median} ({low} - {high})"


def of_targets(run: Run) -> str:
    """Return what was asked for, what was measured, and whether that is enough."""
    rows = []
    for target in TARGETS:
        value = target.read(run)
        bound = f"{'at least' if target.at_least else 'at most'} {number_text(target.bound)} {target.unit}"
        found = "not measured" if value is None else f"{number_text(value)} {target.unit}"
        rows.append([target.measure, bound, found, "" if value is None else "yes" if target.met(value) else "**no**"])
    return markdown(["measure", "wanted", "measured", "met"], rows)


def of_changes(changes: Iterable[Change]) -> str:
    """Return what moved, the better first."""
    moved = sorted((change for change in changes if change.better is not None), key=lambda one: not one.better)
    if not moved:
        return "Nothing moved by more than its trials differ."
    rows = [
        [
            f"{one.system}: {one.measure}, {one.field}",
            number_text(one.then),
            number_text(one.now),
            f"{one.percent:+.0f} %",
            "better" if one.better else "**worse**",
        ]
        for one in moved
    ]
    return markdown(["measure", "then", "now", "change", ""], rows)


def of_facts(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and what they are."""
    return markdown(["what", ""], ([name, fact] for name, fact in facts))
