import pytest

from benchmarks.comparison import compare
from benchmarks.results import Run


def a_run(field: str, values: list[float]) -> Run:
    run = Run(kind="full", begun="2026-01-31T00:00:00+00:00")
    for value in values:
        run.add("chat", "closed", {field: value})
    return run


@pytest.mark.parametrize(
    ("field", "then", "now", "better"),
    [
        ("delivered_per_s", [5_000, 5_100, 5_050], [7_000, 7_100, 6_900], True),
        ("delivered_per_s", [7_000, 7_100, 6_900], [5_000, 5_100, 5_050], False),
        ("latency_ms.p99", [20, 21, 22], [10, 11, 12], True),
        ("lost", [0, 0, 0], [3, 3, 3], False),
    ],
)
def test_what_moved_is_better_or_worse_as_its_field_says(
    field: str, then: list[float], now: list[float], better: bool
) -> None:
    (change,) = compare(a_run(field, then), a_run(field, now))
    assert change.better is better


def test_trials_that_overlap_have_not_moved() -> None:
    (change,) = compare(a_run("delivered_per_s", [5_000, 9_000]), a_run("delivered_per_s", [8_000, 12_000]))
    assert change.better is None


def test_a_small_step_is_no_move_even_when_trials_agree() -> None:
    (change,) = compare(a_run("delivered_per_s", [5_000, 5_001]), a_run("delivered_per_s", [5_100, 5_101]))
    assert change.better is None


def test_one_trial_has_to_differ_by_more() -> None:
    (change,) = compare(a_run("delivered_per_s", [5_000, 5_001]), a_run("delivered_per_s", [5_800]))
    assert change.better is None


def test_how_long_a_load_went_on_is_not_compared() -> None:
    short, long = a_run("seconds", [4]), a_run("seconds", [10])
    assert [change.field for change in compare(long, short)] == ["seconds"]
    for run in (short, long):
        run.add("chat", "closed", {"delivered_per_s": 5_000})
    assert [change.field for change in compare(long, short)] == ["delivered_per_s"]


def test_latencies_at_a_rate_are_compared_as_they_are_shown() -> None:
    fast, slow = a_run("latency_ms.p99", [5, 5]), a_run("latency_ms.p99", [5, 5])
    for run, due in ((fast, 6), (slow, 60)):
        for trial in run.measures[0].trials:
            trial["latency_due_ms.p99"] = due
    (change,) = compare(fast, slow)
    assert (change.then, change.now, change.better) == (6, 60, False)


def test_what_one_run_lacks_is_not_compared() -> None:
    assert compare(Run(kind="full", begun=""), a_run("delivered_per_s", [1])) == []


def test_a_change_is_told_in_percent() -> None:
    (change,) = compare(a_run("delivered_per_s", [5_000, 5_000]), a_run("delivered_per_s", [7_500, 7_500]))
    assert change.percent == pytest.approx(50)
