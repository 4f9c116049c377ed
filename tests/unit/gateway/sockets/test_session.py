"""A session without a socket: frames in, frames out."""

import pytest

from gateway.sockets.session import MOST_WAITING, Given, Session, Slot

TAIL = {0: 10, 1: 20}


class Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def session(woken: Woken) -> Session:
    return Session(1, 7, woken)


def taken(session: Session) -> list[bytes]:
    return session.take(1_000_000)


def test_frames_leave_in_the_order_they_came(session: Session) -> None:
    session.tell(b"connected")
    session.give(0, 10, b"message")
    session.ack(0, 11, b"ack")
    assert taken(session) == [b"connected", b"message", b"ack"]
    assert taken(session) == []


def test_whoever_writes_is_woken_once_until_the_queue_is_empty(session: Session, woken: Woken) -> None:
    session.tell(b"a")
    session.tell(b"b")
    assert woken.times == 1
    taken(session)
    session.tell(b"c")
    assert woken.times == 2


def test_the_socket_that_got_the_ack_does_not_get_the_message_too(session: Session) -> None:
    session.ack(0, 10, b"ack")
    session.give(0, 10, b"message")
    assert taken(session) == [b"ack"]


def test_nothing_behind_a_frame_that_is_being_made_overtakes_it(session: Session) -> None:
    slot = Slot()
    session.tell(b"before")
    session.give(0, 10, slot)
    session.give(0, 11, b"after")
    assert taken(session) == [b"before"]
    slot.frame = b"made"
    assert taken(session) == [b"made", b"after"]


def test_about_as_many_bytes_are_taken_as_were_asked_for(session: Session) -> None:
    for _ in range(4):
        session.tell(b"x" * 100)
    assert len(session.take(150)) == 2
    assert len(session.take(1)) == 1


def test_live_frames_wait_for_the_end_of_a_catch_up(session: Session) -> None:
    session.hold()
    session.give(0, 10, b"live")
    session.tell(b"heartbeat")
    assert taken(session) == [b"heartbeat"]
    session.release([Given(0, 8, b"missed")], TAIL, TAIL)
    assert taken(session) == [b"missed", b"live"]


def test_what_the_catch_up_gave_is_not_given_again(session: Session) -> None:
    session.hold()
    session.give(0, 10, b"in the snapshot")
    session.give(0, 11, b"after it")
    session.release([Given(0, 10, b"a row")], {0: 11, 1: 20}, {0: 12, 1: 20})
    assert taken(session) == [b"a row", b"after it"]


def test_below_the_floor_everything_is_dropped_until_the_tail_has_passed_it(session: Session) -> None:
    session.hold()
    session.release([], {0: 12, 1: 20}, TAIL)
    session.give(0, 11, b"in the snapshot")
    session.give(0, 12, b"new")
    session.give(1, 20, b"of another partition")
    assert taken(session) == [b"new", b"of another partition"]


def test_no_cursor_falls_below_the_floor(session: Session) -> None:
    session.hold()
    session.release([], {0: 12, 1: 20}, TAIL)
    assert session.positions(TAIL) == {0: 12, 1: 20}
    assert session.positions({0: 11, 1: 25}) == {0: 12, 1: 25}
    assert session.positions({0: 13, 1: 25}) == {0: 13, 1: 25}


def test_the_ack_of_a_retry_waits_for_the_end_of_a_catch_up(session: Session) -> None:
    session.hold()
    session.ack(0, 3, b"ack of a retry")
    session.release([Given(0, 8, b"missed")], TAIL, TAIL)
    assert taken(session) == [b"missed", b"ack of a retry"]


def test_an_ack_takes_the_place_of_its_message(session: Session) -> None:
    session.hold()
    session.ack(0, 8, b"ack")
    session.release([Given(0, 7, b"first"), Given(0, 8, b"own"), Given(0, 9, b"last")], TAIL, TAIL)
    assert taken(session) == [b"first", b"ack", b"last"]


def test_two_tries_of_one_message_are_both_answered_after_a_catch_up(session: Session) -> None:
    session.hold()
    session.ack(0, 3, b"first try")
    session.ack(0, 3, b"second try")
    session.release([], TAIL, TAIL)
    assert taken(session) == [b"first try", b"second try"]


def test_an_ack_of_a_message_that_the_snapshot_had_is_given_all_the_same(session: Session) -> None:
    session.hold()
    session.release([Given(0, 11, b"own")], {0: 12, 1: 20}, TAIL)
    session.ack(0, 11, b"ack")
    assert taken(session) == [b"own", b"ack"]


def test_a_reader_that_is_too_slow_overflows(session: Session) -> None:
    session.tell(b"x" * MOST_WAITING)
    assert not session.overflowing
    session.tell(b"x")
    assert session.overflowing


def test_what_is_held_back_counts_too(session: Session, woken: Woken) -> None:
    session.hold()
    session.give(0, 10, b"x" * (MOST_WAITING + 1))
    assert session.overflowing
    assert woken.times == 1


def test_a_catch_up_may_be_as_large_as_it_is(session: Session) -> None:
    session.hold()
    session.release([Given(0, 1, b"x" * (2 * MOST_WAITING))], TAIL, TAIL)
    assert not session.overflowing
    assert session.owed == 2 * MOST_WAITING
    session.tell(b"x" * (MOST_WAITING + 1))
    assert session.overflowing


def test_what_is_taken_of_a_catch_up_is_no_longer_owed(session: Session) -> None:
    session.hold()
    session.release([Given(0, offset, b"x" * MOST_WAITING) for offset in range(4)], TAIL, TAIL)
    session.take(1)
    assert session.owed == 3 * MOST_WAITING
    session.tell(b"x" * MOST_WAITING)
    session.take(1)
    assert session.owed == 3 * MOST_WAITING
    session.tell(b"x" * (MOST_WAITING + 1))
    assert session.overflowing


def test_once_the_catch_up_is_written_the_bound_is_as_before(session: Session) -> None:
    session.hold()
    session.release([Given(0, 1, b"x" * (2 * MOST_WAITING))], TAIL, TAIL)
    session.take(4 * MOST_WAITING)
    assert session.owed == 0
    session.tell(b"x" * (MOST_WAITING + 1))
    assert session.overflowing


def test_what_was_held_is_not_counted_twice(session: Session) -> None:
    session.hold()
    session.give(0, 10, b"x" * (MOST_WAITING // 2 + 1))
    session.release([], TAIL, TAIL)
    assert not session.overflowing
