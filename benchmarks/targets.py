"""What the system has to reach on two cores with everything running on them, the load generator too.

Pure. Each target looks at the medians of a run; a ratio has a second measure below the line.
"""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.results import Run

CHAT, UNFLUSHED = "chat", "chat, flushed by the OS"
PEERS = ("tinode", "ejabberd", "synapse")
"""Servers that store a message before they deliver it."""


class Target(NamedTuple):
    """A measure, how it is read off a run (None: not measured), and its bound."""

    measure: str
    unit: str
    read: Callable[[Run], float | None]
    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Tell whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def _at_least(measure: str, unit: str, bound: float, read: Callable[[Run], float | None]) -> Target:
    return Target(measure, unit, read, bound, at_least=True)


def _at_most(measure: str, unit: str, bound: float, read: Callable[[Run], float | None]) -> Target:
    return Target(measure, unit, read, bound, at_least=False)


def _of(name: str, field: str, system: str = CHAT) -> Callable[[Run], float | None]:
    return lambda run: run.median(system, name, field)


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _against_floors(run: Run) -> float | None:
    producer = run.median("parts", "producer, flushed", "latency_ms.p50")
    socket = run.median("bare socket", "one pair", "latency_ms.p50")
    if producer is None or socket is None:
        return None
    return _ratio(run.median(CHAT, "one pair", "latency_ms.p50"), producer + socket)


def _against_peers(run: Run) -> float | None:
    """Return how many times the best of all PEERS; of some of them nobody knows whether the best is there."""
    rates = [run.median(peer, "closed", "delivered_per_s") for peer in PEERS]
    known = [rate for rate in rates if rate is not None]
    return _ratio(run.median(CHAT, "closed", "delivered_per_s"), max(known)) if len(known) == len(PEERS) else None


def _depth(run: Run) -> float | None:
    deep, shallow = (run.median("chat, no caches", name, "latency_ms.p50") for name in ("page of many", "page of 10"))
    return _ratio(deep, shallow)


def _of_many(name: str, field: str, least: int) -> Callable[[Run], float | None]:
    """Read a measure that says nothing about fewer connections than these."""

    def read(run: Run) -> float | None:
        there = run.median(CHAT, name, "connections")
        return run.median(CHAT, name, field) if there is not None and there >= least else None

    return read


NO_CACHES = "chat, no caches"
RATE, PER_S, PER_1K = "requests_per_s", "delivered_per_s", "server_cpu_s_per_1k"
TARGETS = (
    _at_least("closed loop, flushed", "a second", 7_500, _of("closed", PER_S)),
    _at_most("closed loop, flushed, p99", "ms", 30, _of("closed", "latency_ms.p99")),
    _at_most("closed loop, flushed, the read tables behind the log", "s", 1, _of("closed", "behind_s")),
    _at_least("closed loop against the best durable peer", "times", 4, _against_peers),
    _at_least("closed loop, flushed by the OS", "a second", 9_000, _of("closed", PER_S, UNFLUSHED)),
    _at_least("window of 8, flushed", "a second", 12_000, _of("window", PER_S)),
    _at_most("500 a second, flushed, p50", "ms", 2.5, _of("open", "latency_ms.p50")),
    _at_most("500 a second, flushed, p99", "ms", 8, _of("open", "latency_ms.p99")),
    _at_most("one pair, p50, against bare producer and bare socket", "times", 2, _against_floors),
    _at_most("CPU for 1,000 delivered, closed loop", "s", 0.2, _of("closed", PER_1K)),
    _at_most("CPU for 1,000 delivered, 500 a second", "s", 1.3, _of("open", PER_1K)),
    _at_most("CPU at rest with 100 idle sockets", "% of a core", 5, _of("rest", "cpu_percent")),
    _at_least("REST send", "a second", 2_000, _of("send", RATE)),
    _at_least("REST history page, no caches", "a second", 2_000, _of("history", RATE, NO_CACHES)),
    _at_least("REST list, no caches", "a second", 2_000, _of("list", RATE, NO_CACHES)),
    _at_least("REST history page, cached", "a second", 5_000, _of("history", RATE)),
    _at_least("REST list, cached", "a second", 5_000, _of("list", RATE)),
    *(
        _at_most(f"REST {name} at half rate, p99", "ms", 20, _of(f"{name} at half rate", "latency_ms.p99"))
        for name in ("send", "history", "list")
    ),
    _at_most("any history page of a long conversation against one of 10, p50", "times", 1.3, _depth),
    _at_most("an idle socket", "KiB", 30, _of("idle", "kib_per_connection")),
    _at_most("heartbeats of 10,000 sockets", "% of a core", 10, _of_many("idle", "edge_cpu_percent", 10_000)),
    _at_most("1,000 come back, 100 messages behind each", "s", 10, _of_many("reconnect", "seconds", 1_000)),
    _at_most("... and are gone again: the edge's memory", "% more", 20, _of_many("reconnect", "memory_percent", 1_000)),
    _at_most("memory of the whole system at rest (PSS)", "MiB", 700, _of("memory", "server_pss_mib")),
    _at_most("start, warm", "s", 10, _of("start", "seconds")),
)
