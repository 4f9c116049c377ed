from benchmarks.results import Run, flat, read, write


def test_nested_numbers_become_one_level() -> None:
    raw = {"mode": "open", "latency_ms": {"p50": 1.5, "p99": 9}, "list": [1]}
    assert flat(raw) == {"mode": "open", "latency_ms.p50": 1.5, "latency_ms.p99": 9}


def test_a_run_is_read_as_it_was_written() -> None:
    run = Run(kind="full", begun="2026-01-31T00:00:00+00:00", commit="abc")
    run.add("chat", "closed", {"delivered_per_s": 7_000.5, "mode": "closed"})
    assert read(write(run)) == run


def test_the_median_is_of_the_trials_that_have_the_field() -> None:
    run = Run(kind="full", begun="")
    for trial in ({"seconds": 1.0}, {"seconds": 3.0}, {"seconds": 8.0}, {"other": 1.0}):
        run.add("chat", "start", dict(trial))
    assert run.median("chat", "start", "seconds") == 3
    assert run.median("chat", "start", "nothing") is None
    assert run.median("chat", "never", "seconds") is None


def test_adding_to_an_earlier_run_replaces_what_was_measured_again() -> None:
    earlier, now = (
        Run(kind="full", begun="", commit="old", minutes=3),
        Run(kind="full", begun="", commit="new", minutes=2),
    )
    for name in ("closed", "window"):
        earlier.add("chat", name, {"delivered_per_s": 1.0})
    now.add("chat", "closed", {"delivered_per_s": 2.0})
    now.keep(earlier)
    assert [(one.name, one.commit) for one in now.measures] == [("window", "old"), ("closed", "new")]
    assert now.minutes == 5


def test_a_latency_at_a_rate_is_from_when_each_was_due() -> None:
    run = Run(kind="full", begun="")
    run.add("chat", "open", {"latency_ms.p99": 7.0, "latency_due_ms.p99": 9.0})
    run.add("chat", "closed", {"latency_ms.p99": 7.0})
    assert [run.median("chat", name, "latency_ms.p99") for name in ("open", "closed")] == [9, 7]


def test_adding_to_an_earlier_run_keeps_what_it_failed_at_until_that_is_done_again() -> None:
    earlier, now = Run(kind="full", begun=""), Run(kind="full", begun="")
    earlier.parts = ["sockets", "requests", "growth: sockets"]
    earlier.failures = ["sockets: it took too long", "requests: no room", "growth: sockets: no room"]
    now.parts, now.failures = ["sockets", "requests", "rest"], ["requests: no rows", "rest: no room"]
    now.keep(earlier)
    assert now.failures == ["growth: sockets: no room", "requests: no rows", "rest: no room"]
    assert now.parts == ["sockets", "requests", "growth: sockets", "rest"]
