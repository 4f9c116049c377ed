from xml.etree import ElementTree as ET

import pytest

from benchmarks import charts, report, tables
from benchmarks.results import Run
from benchmarks.targets import PEERS, TARGETS


@pytest.fixture
def run() -> Run:
    run = Run(kind="full", begun="2026-01-31T10:00:00+00:00", commit="abc", machine={"cores": "2"})
    run.systems = {"chat": "in the log"}
    for rate in (7_400.0, 7_600.0, 7_700.0):
        latency = {"latency_ms.p50": 12.0, "latency_ms.p99": 25.0}
        run.add("chat", "closed", {"delivered_per_s": rate, "lost": 0, **latency})
    run.add("growth", "sockets = 10,000: open", {"latency_ms.p50": 2.0})
    return run


def test_a_cell_has_the_median_and_the_spread(run: Run) -> None:
    closed = run.find("chat", "closed")
    assert closed is not None
    assert tables.cell(closed, "delivered_per_s") == "7,600 (7,400 - 7,700)"
    assert tables.cell(closed, "lost") == "0"
    assert tables.cell(closed, "never measured") == "-"


def test_a_target_is_met_by_the_median(run: Run) -> None:
    shown = tables.of_targets(run).splitlines()
    assert len(shown) == len(TARGETS) + 2
    assert shown[2] == "| closed loop, flushed | at least 7,500 a second | 7,600 a second | yes |"


def test_what_a_late_answer_holds_up_counts_at_a_rate(run: Run) -> None:
    late = {"requests_per_s": 3_400.0, "latency_ms.p50": 1.0, "latency_ms.p99": 15.0}
    run.add("chat", "history at half rate", {**late, "latency_due_ms.p50": 2.0, "latency_due_ms.p99": 176.0})
    page = report.page(run, None, [])
    assert "| REST history at half rate, p99 | at most 20 ms | 176 ms | **no** |" in page
    assert "| history at half rate | 1 | 3,400 | 2 | 176 |" in page


def test_what_was_not_measured_says_so(run: Run) -> None:
    assert "| REST send | at least 2,000 a second | not measured |  |" in tables.of_targets(run)


def test_the_best_peer_is_known_when_all_were_measured(run: Run) -> None:
    shown = "| closed loop against the best durable peer | at least 4 times | {} |"
    for peer, rate in zip(PEERS, (1_000.0, 2_000.0, 50.0), strict=True):
        assert shown.format("not measured | ") in tables.of_targets(run)
        run.add(peer, "closed", {"delivered_per_s": rate})
    assert shown.format("3.80 times | **no**") in tables.of_targets(run)


def test_the_page_names_what_failed_and_what_moved(run: Run) -> None:
    slower = Run(kind="full", begun="2026-01-30T10:00:00+00:00", commit="old", machine={"cores": "4"})
    slower.add("chat", "closed", {"delivered_per_s": 3_000.0})
    run.failures = ["peers: none is here"]
    page = report.page(run, slower, ["edge.svg"])
    assert "- peers: none is here" in page
    assert "| chat: closed, delivered_per_s | 3,000 | 7,600 | +153 % | better |" in page
    assert "on another machine** (cores differ)" in page
    assert "[Flame graph: edge](edge.svg)" in page


def test_the_page_of_an_empty_run_is_whole() -> None:
    page = report.page(Run(kind="short", begun="2026-01-31T10:00:00+00:00"), None, [])
    assert "There is no earlier result to compare with." in page
    assert "an unknown commit" in page


def test_plots_are_well_formed(run: Run) -> None:
    plots = report.plots(run)
    assert {"closed.svg", "latency-closed.svg", "growth.svg"} <= plots.keys()
    for plot in plots.values():
        assert ET.fromstring(plot).tag.endswith("svg")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.012"), (1.5, "1.50"), (12.34, "12.3"), (7_600.4, "7,600"), (5, "5")]
)
def test_numbers_have_the_digits_that_matter(value: float, text: str) -> None:
    assert charts.number_text(value) == text
