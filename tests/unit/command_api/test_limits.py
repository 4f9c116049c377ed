"""Sliding windows: how much one user may do in a while."""

import pytest

from command_api.limits import DAY, MINUTE, Limits, Window
from infra.clock import BrokerClock
from infra.memory import Entry
from schemas.errors import ChatError, Code
from schemas.events import AnyEvent
from schemas.ids import Partition
from schemas.judge import COUNTED, Judgement
from tests.support.examples import EXAMPLES

ADA, BOB = 12, 7  # the sender of the example message, and its recipient
START = 1_800_000_000_000


class Clock(BrokerClock):
    """A clock that stands still until it is moved."""

    time = START

    def now(self) -> int:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def window(clock: Clock) -> Window:
    """At most three a minute."""
    return Window(clock, limit=3, span=MINUTE, what="things a minute")


def refused(window: Window, user: int = ADA) -> int:
    """Return the seconds until one more would be taken."""
    with pytest.raises(ChatError) as error:
        window.check(user)
    assert error.value.code is Code.RATE_LIMITED
    assert error.value.details == {"retry_after": error.value.retry_after}
    return error.value.retry_after or 0


def test_one_more_than_the_limit_is_refused_until_the_first_is_a_span_ago(window: Window, clock: Clock) -> None:
    for second in (0, 10, 20):
        window.check(ADA)
        window.count(ADA, START + second * 1_000)
    clock.time = START + 30_000
    assert refused(window) == 30
    clock.time = START + MINUTE - 1
    assert refused(window) == 1
    clock.time = START + MINUTE
    window.check(ADA)


def test_the_window_slides(window: Window, clock: Clock) -> None:
    for second in (0, 1, 50):
        window.count(ADA, START + second * 1_000)
    clock.time = START + 61_000
    window.check(ADA)
    window.count(ADA, clock.time)
    window.count(ADA, clock.time)
    assert refused(window) == 49


def test_users_have_windows_of_their_own(window: Window) -> None:
    for _ in range(3):
        window.count(ADA, START)
    refused(window, ADA)
    window.check(BOB)


def test_what_is_under_way_counts_until_it_has_ended(window: Window) -> None:
    window.count(ADA, START)
    window.begin(ADA)
    window.begin(ADA)
    assert refused(window) == 60
    window.end(ADA)
    window.check(ADA)


def test_nothing_but_what_is_under_way_is_told_a_whole_span(window: Window) -> None:
    for _ in range(3):
        window.begin(ADA)
    assert refused(window) == 60


def test_no_limit_refuses_nobody(clock: Clock) -> None:
    window = Window(clock, limit=0, span=MINUTE, what="things")
    for _ in range(1_000):
        window.begin(ADA)
        window.count(ADA, START)
        window.check(ADA)
        window.end(ADA)


def test_users_who_do_nothing_are_forgotten(window: Window) -> None:
    for user in range(1, 1_000):
        window.count(user, START)
    window.count(ADA, START + 2 * MINUTE)
    assert list(window._times) == [ADA]


def entry(event: AnyEvent, judgement: Judgement = COUNTED) -> Entry:
    return Entry(Partition(event.topic, 0), 0, START, "id", event, judgement)


def test_the_log_is_counted_by_sender_and_by_reporter(clock: Clock) -> None:
    limits = Limits(clock, messages_per_minute=1, reports_per_day=1)
    for event in EXAMPLES:
        limits.fold(entry(event))
    refused(limits.messages, ADA)
    limits.messages.check(BOB)
    refused(limits.reports, BOB)
    limits.reports.check(ADA)
    clock.time = START + DAY - 1
    refused(limits.reports, BOB)
    clock.time = START + DAY
    limits.reports.check(BOB)
