"""What was measured: every trial as numbers by name, grouped by system and measure; kept as JSON.

Pure. How a run is shown is in report.py, how two are compared in comparison.py.
"""

import statistics
from collections.abc import Mapping
from typing import Any

import msgspec

Trial = dict[str, float | str]


class Measure(msgspec.Struct, kw_only=True):
    """One measure of one system; `trials` has all of them but warm-ups, in the order they were taken at one commit."""

    system: str
    name: str
    commit: str = ""
    trials: list[Trial] = []


class Run(msgspec.Struct, kw_only=True):
    """One run of the benchmarks. `kind`: full or short. `systems`: what each promises of a message it acknowledged.

    `parts`: what was done, whether or not it could be measured. `failures`: a line for each part that could not be,
    which begins with its name.
    """

    kind: str
    begun: str
    minutes: float = 0
    commit: str = ""
    machine: dict[str, str] = {}
    versions: dict[str, str] = {}
    settings: dict[str, str] = {}
    systems: dict[str, str] = {}
    measures: list[Measure] = []
    parts: list[str] = []
    failures: list[str] = []

    def add(self, system: str, name: str, trial: Trial) -> None:
        """Keep a trial."""
        found = self.find(system, name)
        if found is None:
            found = Measure(system=system, name=name, commit=self.commit)
            self.measures.append(found)
        found.trials.append(trial)

    def keep(self, earlier: "Run") -> None:
        """Take over what an earlier run measured and this one did not, and what it failed at and nobody did again."""
        self.measures = [*(one for one in earlier.measures if not self.find(one.system, one.name)), *self.measures]
        self.systems = {**earlier.systems, **self.systems}
        again = tuple(f"{part}: " for part in self.parts)
        self.failures = [*(line for line in earlier.failures if not line.startswith(again)), *self.failures]
        self.parts = list(dict.fromkeys([*earlier.parts, *self.parts]))
        self.minutes = round(self.minutes + earlier.minutes, 1)

    def find(self, system: str, name: str) -> Measure | None:
        """Return a measure, or None when it was not taken."""
        return next((one for one in self.measures if (one.system, one.name) == (system, name)), None)

    def values(self, system: str, name: str, field: str) -> list[float]:
        """Return a number of every trial that has it."""
        found = self.find(system, name)
        return numbers(found, field) if found else []

    def median(self, system: str, name: str, field: str) -> float | None:
        """Return the median over the trials, or None when it was not measured."""
        values = self.values(system, name, field)
        return statistics.median(values) if values else None


def numbers(measure: Measure, field: str) -> list[float]:
    """Return a number of every trial that has it.

    Where a trial has `latency_due_ms` (a load at a rate), that is its latency: from when each was due. Who asks late
    because the answer before came late would otherwise leave out what that cost.
    """
    due = field.replace("latency_ms.", "latency_due_ms.")
    given = (trial.get(due, trial.get(field)) for trial in measure.trials)
    return [float(value) for value in given if isinstance(value, int | float)]


def flat(raw: Mapping[str, Any], prefix: str = "") -> Trial:
    """Turn nested numbers into one level: {"latency_ms": {"p50": 1}} is {"latency_ms.p50": 1}."""
    trial: Trial = {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            trial |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float | str):
            trial[prefix + name] = value
    return trial


def write(run: Run) -> bytes:
    """Write a run, readable and in a stable order, for a repository."""
    return msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"


def read(content: bytes) -> Run:
    """Read what `write` wrote; msgspec.DecodeError otherwise."""
    return msgspec.json.decode(content, type=Run)
