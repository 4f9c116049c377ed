"""The broker's time follows the records, not this machine's wall clock."""

import time

import pytest

from infra.clock import BrokerClock


def test_before_the_first_record_there_is_no_time() -> None:
    with pytest.raises(RuntimeError, match="not known"):
        BrokerClock().now()


def test_it_goes_by_the_append_timestamps_whatever_the_wall_clock_says() -> None:
    clock = BrokerClock()
    an_hour_ahead = time.time_ns() // 1_000_000 + 3_600_000
    clock.observe(an_hour_ahead)
    assert 0 <= clock.now() - an_hour_ahead < 1_000


def test_a_record_that_is_read_late_does_not_turn_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, since = BrokerClock(), time.monotonic()
    clock.observe(1_000_000)
    clock.observe(500_000)
    assert clock.now() >= 1_000_000
    monkeypatch.setattr(time, "monotonic", lambda: since + 61)
    clock.observe(500_000)
    assert clock.now() >= 1_060_000


def test_a_broker_whose_clock_was_put_back_is_followed_within_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, since = BrokerClock(), time.monotonic()
    clock.observe(1_000_000)
    for second in range(5, 130, 5):
        monkeypatch.setattr(time, "monotonic", lambda second=second: since + second)
        clock.observe(700_000 + 1_000 * second)
    assert abs(clock.now() - (700_000 + 1_000 * 125)) <= 1
