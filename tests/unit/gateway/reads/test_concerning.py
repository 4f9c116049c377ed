"""Which records a user must find in a list: the last ones they wrote or were pushed."""

import pytest

from gateway.reads.concerning import Concerning, concerned, later
from infra.memory import Entry
from schemas.events import CONVERSATION_EVENTS, AnyEvent, ConversationEvent
from schemas.ids import Partition
from schemas.judge import COUNTED, Judgement
from tests.support.examples import EXAMPLES

ADA, BOB = 12, 7  # who sends in the examples, and who reads, blocks and reports
FIRST, SECOND = Partition("chat.conversations", 0), Partition("chat.conversations", 1)
BY_TYPE = {type(event).__name__: event for event in EXAMPLES}


def entry(event: AnyEvent | None, offset: int, partition: Partition = FIRST, judgement: Judgement = COUNTED) -> Entry:
    return Entry(partition, offset, 0, f"id-{offset}", event, judgement)


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("ConversationOpened", {ADA, BOB}),
        ("MessageSent", {ADA, BOB}),
        ("MessageRead", {ADA, BOB}),
        ("ConversationBlocked", {BOB}),
        ("ConversationUnblocked", {BOB}),
    ],
)
def test_an_event_concerns_who_wrote_it_and_who_is_pushed_it(name: str, users: set[int]) -> None:
    event = BY_TYPE[name]
    assert isinstance(event, ConversationEvent)
    assert set(concerned(event)) == users


def test_every_event_of_a_conversation_is_in_that_table() -> None:
    assert {kind.__name__ for kind in CONVERSATION_EVENTS} <= BY_TYPE.keys()


def test_the_tables_must_have_passed_the_last_record_of_each_partition() -> None:
    concerning = Concerning()
    concerning.fold(entry(BY_TYPE["MessageSent"], 5))
    concerning.fold(entry(BY_TYPE["MessageRead"], 6))
    concerning.fold(entry(BY_TYPE["MessageSent"], 9, SECOND))
    assert concerning.of(ADA) == {FIRST: 7, SECOND: 10}
    assert concerning.of(1) == {}


def test_other_topics_and_bad_records_concern_nobody() -> None:
    concerning = Concerning()
    concerning.fold(entry(None, 1))
    for event in EXAMPLES:
        if not isinstance(event, ConversationEvent):
            concerning.fold(entry(event, 2))
    assert concerning.of(ADA) == concerning.of(BOB) == {}


def test_what_the_tables_have_passed_is_forgotten() -> None:
    concerning = Concerning()
    concerning.fold(entry(BY_TYPE["MessageSent"], 5))
    concerning.prune({FIRST: 5})
    assert concerning.of(ADA) == {FIRST: 6}
    concerning.prune({FIRST: 6})
    assert concerning.of(ADA) == {}
    assert not concerning._oldest_first
    assert not concerning._of_user


def test_a_newer_record_is_not_forgotten_with_an_older_one() -> None:
    concerning = Concerning()
    concerning.fold(entry(BY_TYPE["MessageSent"], 5))
    concerning.fold(entry(BY_TYPE["ConversationBlocked"], 8))
    concerning.prune({FIRST: 6})
    assert concerning.of(BOB) == {FIRST: 9}
    assert concerning.of(ADA) == {}


def test_beyond_the_bound_everybody_waits_for_what_was_forgotten() -> None:
    concerning = Concerning(most=2)
    concerning.fold(entry(BY_TYPE["MessageSent"], 5))
    concerning.fold(entry(BY_TYPE["MessageSent"], 6, SECOND))
    concerning.prune({})
    assert concerning.of(ADA) == {FIRST: 6, SECOND: 7}
    assert concerning.of(1) == {FIRST: 6}
    assert len(concerning._oldest_first) == 2


def test_of_two_positions_the_later_one_counts() -> None:
    assert later({FIRST: 5, SECOND: 1}, {FIRST: 3, SECOND: 2}) == {FIRST: 5, SECOND: 2}
    assert later({}, {FIRST: 3}) == {FIRST: 3}
