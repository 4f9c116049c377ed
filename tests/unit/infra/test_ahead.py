"""What is acknowledged is taken where it is next: whatever comes first, the reader or the answer, each record once."""

import random
from collections import deque
from dataclasses import replace

import pytest

from infra.ahead import MOST_AHEAD_MS, MOST_WAITING, Ahead, Record, records_of
from schemas import topics
from schemas.envelope import Sealed
from schemas.events import IdsLeased
from schemas.ids import Partition
from tests import histories

PARTITION = Partition(topics.CONVERSATIONS, 3)


def sealed(number: int) -> Sealed:
    event = IdsLeased(edge=f"{number}")
    return Sealed(b"1:2", b"%d" % number, [("ce_id", b"id-%d" % number)], f"id-{number}", event)


def batch(offset: int, count: int = 1, timestamp: int = 5) -> list[Record]:
    return records_of(offset, timestamp, [sealed(number) for number in range(offset, offset + count)])


def read(offset: int, count: int = 1) -> list[histories.Entry]:
    """Return records as the reader brings them."""
    records = [(number, sealed(number)) for number in range(offset, offset + count)]
    return [histories.Entry(*PARTITION, at, 5, one.key, one.value, tuple(one.headers)) for at, one in records]


def test_a_batch_becomes_records() -> None:
    first, second = batch(7, 2)
    assert (first.offset, first.timestamp) == (7, 5)
    assert second == (8, 5, b"8", "id-8", IdsLeased(edge="8"))


def test_a_batch_that_is_next_is_taken_once_and_not_brought_again() -> None:
    ahead = Ahead()
    ahead.add(batch(4, 2))
    assert ahead.take(4) == batch(4, 2)
    assert not ahead.take(6)
    assert ahead.confirm(read(4, 3)) == read(6)
    assert ahead.confirm(read(7)) == read(7)


def test_a_batch_waits_for_what_lies_before_it() -> None:
    ahead = Ahead()
    ahead.add(batch(5))
    assert not ahead.take(4)
    assert ahead.confirm(read(4)) == read(4)
    assert ahead.take(5) == batch(5)


def test_a_batch_that_the_reader_has_begun_to_bring_is_left_to_it() -> None:
    ahead = Ahead()
    assert ahead.confirm(read(4, 2)) == read(4, 2)
    ahead.add(batch(4, 3))
    ahead.add(batch(7))
    assert not ahead.take(6)
    assert ahead.confirm(read(6)) == read(6)
    assert ahead.take(7) == batch(7)


@pytest.mark.parametrize(
    "other",
    [
        replace(read(4)[0], offset=5),
        replace(read(4)[0], timestamp=6),
        replace(read(4)[0], value=b"other"),
    ],
)
def test_another_record_than_was_taken_ends_everything(other: histories.Entry) -> None:
    ahead = Ahead()
    ahead.add(batch(4))
    ahead.take(4)
    with pytest.raises(RuntimeError, match=r"chat.conversations partition 3 has another record at offset \d"):
        ahead.confirm([other])


def test_a_reader_that_is_stuck_is_not_left_behind_without_end() -> None:
    ahead = Ahead()
    for offset in range(3):
        ahead.add(batch(offset, timestamp=5 + offset * MOST_AHEAD_MS))
    assert [bool(ahead.take(offset)) for offset in range(3)] == [True, True, False]
    assert not ahead.confirm(read(0))
    assert ahead.take(2)


def test_of_many_batches_that_wait_the_oldest_are_left_to_the_reader() -> None:
    ahead = Ahead()
    for offset in range(1, MOST_WAITING + 2):
        ahead.add(batch(offset))
    assert not ahead.take(1)
    assert ahead.take(2) == batch(2)


@pytest.mark.parametrize("seed", range(50))
def test_everything_is_taken_once_and_in_order(seed: int) -> None:
    """A log of our batches and of others' records; answers and reader come as they like, or an answer never comes."""
    luck = random.Random(seed)
    ahead, answers = Ahead(), deque[list[Record]]()
    end = brought = position = 0
    taken: list[int] = []

    def take_ahead() -> None:
        nonlocal position
        while records := ahead.take(position):
            taken.extend(record.offset for record in records)
            position = records[-1].offset + 1

    while end < 200 or brought < end:
        happens = luck.choice(["ours", "others", "answer", "reader"])
        if happens == "ours" and end < 200:
            count = luck.randint(1, 6)
            if luck.random() < 0.9:
                answers.append(batch(end, count))
            end += count
        elif happens == "others" and end < 200 and seed % 2:
            end += luck.randint(1, 3)
        elif happens == "answer" and answers:
            ahead.add(answers.popleft())
            take_ahead()
        elif happens == "reader" and brought < end:
            count = luck.randint(1, end - brought)
            records = ahead.confirm(read(brought, count))
            brought += count
            taken.extend(record.offset for record in records)
            position = max(position, brought)
            take_ahead()
        assert taken == list(range(position))
    assert position == end
