"""One page of a run, in Markdown, with its plots. Pure: text in, text out; __main__.py writes the files."""

from collections.abc import Iterable, Sequence

from benchmarks import charts, tables
from benchmarks.comparison import compare
from benchmarks.results import Measure, Run
from benchmarks.targets import CHAT

TALKS = {
    "closed": "Closed loop: each of 100 pairs has one message in flight",
    "window": "Window: each of 100 pairs has eight messages in flight",
    "open": "Open: 500 messages a second over 100 pairs, whatever the server does",
    "one pair": "One pair, one message in flight, on the idle machine",
}
WAITS = ("start", "memory", "rest", "idle", "reconnect")
PERCENTILES = (10, 25, 50, 75, 90, 95, 99, 99.9)
HOW_TO_READ = """\
Medians over the trials, with the lowest and the highest in brackets; warm-ups are not counted. Servers that are
compared have worked before: ours for `heat` seconds in the closed loop, or under the same requests, others under each
of their loads once. The load generator runs on the same machine and takes its share of it. Latency is from the sender's
write to the receiver's read, of a request to the end of its answer. At a rate (500 a second, half rate) it is from when
the message or the request was due (`latency_due_ms` in `results.json`): what a late answer holds up counts, and so do
the generator's own timers, which are half a millisecond late on the whole, as the bare socket shows. `ack` is always
from the write. `lost` and `doubled` count what arrived in the whole run, warm-up too; `not stored` and `stored twice`
compare what was sent with the read tables afterwards, and `caught up` is how long these took to have everything. CPU is
user and system time of all processes of a system, its Postgres and Kafka too; memory is PSS, which divides shared pages
among their users. `others' CPU` is what everything else on the machine used meanwhile: where it is not small, repeat
the run."""


def page(run: Run, last: Run | None, graphs: Iterable[str]) -> str:
    """Return the whole page; `graphs` are the flame graphs beside it."""
    sections = [
        "# Benchmarks",
        _measured(run),
        *(["**Not measured:**\n\n" + "\n".join(f"- {failure}" for failure in run.failures)] if run.failures else []),
        "## What was wanted",
        tables.of_targets(run),
        "## What moved",
        _moved(run, last),
        "## What an acknowledgement promises",
        tables.of_facts(run.systems.items()),
        *_talks(run),
        *_asked(run),
        *_section(run, "The system at rest", tables.WAITING, [CHAT], WAITS),
        *_section(run, "The parts alone", tables.PARTS, ["parts"]),
        *_growth(run),
        *_others(run),
        *_profiles(run, graphs),
        "## Machine and settings",
        tables.of_facts([*run.machine.items(), *run.versions.items(), *run.settings.items()]),
        "## How to read this",
        HOW_TO_READ,
    ]
    return "\n\n".join(sections) + "\n"


def _measured(run: Run) -> str:
    commits = sorted({one.commit for one in run.measures} | {run.commit})
    at = ", ".join(f"`{commit or 'an unknown commit'}`" for commit in commits)
    return (
        f"Measured {run.begun[:10]} at {at}, the {run.kind} run, {run.minutes:.0f} "
        "minutes. This page, its plots and `results.json` (every trial) are written by `make bench`."
    )


def plots(run: Run) -> dict[str, str]:
    """Return the plots by the names of their files."""
    made = {}
    for mode in ("closed", "window"):
        values = {one.system: run.values(one.system, mode, "delivered_per_s") for one in _named(run, mode)}
        made[f"{mode}.svg"] = charts.bars(TALKS[mode], "delivered a second", values)
    for mode in ("closed", "open"):
        series = {one.system: _distribution(run, one) for one in _named(run, mode)}
        made[f"latency-{mode}.svg"] = charts.lines(f"Latency, {mode}", "of 100 messages, the slowest …", "ms", series)
    if series := _grown(run):
        made["growth.svg"] = charts.lines("What grows", "how many", "p50, ms", series)
    return made


def _moved(run: Run, last: Run | None) -> str:
    if last is None:
        return "There is no earlier result to compare with."
    known = f"Against the {last.kind} run of {last.begun[:10]} at `{last.commit}`"
    other = {name for name, fact in run.machine.items() if last.machine.get(name) != fact and "flush" not in name}
    warning = f", **on another machine** ({', '.join(sorted(other))} differ)" if other else ""
    return f"{known}{warning}.\n\n{tables.of_changes(compare(last, run))}"


def _talks(run: Run) -> list[str]:
    sections = []
    for mode, title in TALKS.items():
        if measures := _named(run, mode):
            plots_of = {"closed": ["closed", "latency-closed"], "window": ["window"], "open": ["latency-open"]}
            shown = [f"![{title}]({plot}.svg)" for plot in plots_of.get(mode, [])]
            sections += [f"## {title}", tables.of_measures(measures, tables.TALK), *shown]
    return sections


def _asked(run: Run) -> list[str]:
    asked = [one for one in run.measures if one.system.startswith(CHAT) and "requests_per_s" in one.trials[0]]
    sections = ["## Requests"] if asked else []
    for system in dict.fromkeys(one.system for one in asked):
        of_system = [one for one in asked if one.system == system]
        sections += [f"### {system}", tables.of_measures(of_system, tables.ASKED, "measure")]
    return sections


def _growth(run: Run) -> list[str]:
    grown = [one for one in run.measures if one.system == "growth"]
    if not grown:
        return []
    columns = [*tables.TALK[:4], *tables.ASKED[:1], *tables.CPU[:2]]
    return ["## What grows", tables.of_measures(grown, columns, "measure"), "![What grows](growth.svg)"]


def _others(run: Run) -> list[str]:
    """Return what nobody else shows: the projections' rates, whatever fields they have."""
    found = [one for one in run.measures if one.system == "projection"]
    fields = dict.fromkeys(
        field for one in found for trial in one.trials for field, value in trial.items() if not isinstance(value, str)
    )
    columns = [(field.replace("_per_s", " / s").replace("_", " "), field) for field in fields]
    return ["## Projections", tables.of_measures(found, columns, "measure")] if found else []


def _profiles(run: Run, graphs: Iterable[str]) -> list[str]:
    sections = [f"[Flame graph: {graph.removesuffix('.svg')}]({graph})" for graph in graphs]
    for one in (measure for measure in run.measures if measure.system == "profile"):
        rows = [[str(trial["function"]), f"{trial['percent']} %"] for trial in one.trials]
        sections.append(tables.markdown([f"{one.name}: function", "of its samples"], rows))
    return ["## Where the time goes, closed loop", *sections] if sections else []


def _section(
    run: Run, title: str, columns: Sequence[tables.Column], systems: list[str], names: tuple[str, ...] = ()
) -> list[str]:
    found = [one for one in run.measures if one.system in systems and (not names or one.name in names)]
    return [f"## {title}", tables.of_measures(found, columns, "measure")] if found else []


def _named(run: Run, mode: str) -> list[Measure]:
    return [one for one in run.measures if one.name == mode and one.system not in {"growth", "projection", "profile"}]


def _distribution(run: Run, measure: Measure) -> list[tuple[float, float]]:
    """Return the medians of the percentiles, as (of 100 messages, at most these are slower; milliseconds)."""
    points = []
    for percentile in reversed(PERCENTILES):
        value = run.median(measure.system, measure.name, f"latency_ms.p{percentile}")
        if value:
            points.append((round(100 - percentile, 1), value))
    return points


def _grown(run: Run) -> dict[str, list[tuple[float, float]]]:
    series: dict[str, list[tuple[float, float]]] = {}
    for one in run.measures:
        value = run.median(one.system, one.name, "latency_ms.p50")
        if one.system == "growth" and value:
            what, _, rest = one.name.partition(" = ")
            number, _, measure = rest.partition(": ")
            series.setdefault(f"{what}: {measure}", []).append((float(number.replace(",", "")), value))
    return series
