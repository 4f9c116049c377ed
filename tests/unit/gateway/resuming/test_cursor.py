"""Cursors: opaque to clients, untrusted by us."""

import base64

import pytest

from gateway.resuming.cursor import BadCursor, Cursors, join
from schemas.ids import MAX_ID

CURSORS = Cursors("an epoch", 3)
POSITIONS = {0: 0, 1: 42, 2: MAX_ID}


def test_a_cursor_comes_back_as_it_was() -> None:
    assert CURSORS.read(CURSORS.write(7, POSITIONS), "") == (7, POSITIONS)


def test_sockets_that_are_as_far_share_all_but_their_id() -> None:
    shared = CURSORS.positions_text(list(POSITIONS.values()))
    assert join(255, shared) == CURSORS.write(255, POSITIONS)


def test_the_positions_since_are_folded_in() -> None:
    cursor = CURSORS.read(CURSORS.write(7, POSITIONS), "1:99,0:3")
    assert cursor.positions == {0: 4, 1: 100, 2: MAX_ID}


def test_a_position_before_the_cursor_changes_nothing() -> None:
    assert CURSORS.read(CURSORS.write(7, POSITIONS), "1:7").positions == POSITIONS


def test_a_cursor_of_another_log_is_told_from_a_broken_one() -> None:
    with pytest.raises(BadCursor, match="unknown_epoch"):
        CURSORS.read(Cursors("another epoch", 3).write(7, POSITIONS), "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "7",
        "7.",
        "7.é",
        "g.AAAA",
        "7.AAAA",
        "7.AAAAA",
        "7." + "A" * 70_000,
        "0." + CURSORS.write(1, POSITIONS).partition(".")[2],
        "fffffffffffff1" + "." + CURSORS.write(1, POSITIONS).partition(".")[2],
        CURSORS.write(7, POSITIONS)[:-4],
        CURSORS.write(7, POSITIONS) + "AAAA",
        CURSORS.write(7, POSITIONS) + "\n",
        join(7, base64.urlsafe_b64encode(b"\x02" + b"x" * 32).decode()),
        join(7, CURSORS.positions_text([MAX_ID + 1, 0, 0])),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor, match="malformed_cursor"):
        CURSORS.read(text, "")


@pytest.mark.parametrize(
    "since", ["1", "1:", ":1", "a:1", "1:1,", "3:1", "1:-1", "users/1:1", "1:99999999999999999", "\uff11:1"]
)
def test_positions_that_are_none_are_refused(since: str) -> None:
    with pytest.raises(BadCursor, match="malformed_cursor"):
        CURSORS.read(CURSORS.write(7, POSITIONS), since)


def test_a_position_that_no_log_reaches_is_refused() -> None:
    with pytest.raises(BadCursor, match="malformed_cursor"):
        CURSORS.read(CURSORS.write(7, POSITIONS), f"0:{MAX_ID}")
