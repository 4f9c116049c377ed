"""What the tail remembers, and what it forgets."""

import pytest

from infra.memory import Entry, Memory
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    Fact,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition
from schemas.judge import COUNTED, Judgement, Verdict

PARTITION = Partition("chat.conversations", 0)
TIME = "2026-01-01T00:00:00.000Z"


def message(number: int, *, sender: int = 1, recipient: int = 2, content: str = "x") -> MessageSent:
    return MessageSent(
        message_id=number,
        conversation_id=10,
        sender_id=sender,
        recipient_id=recipient,
        content=content,
        content_type="text",
        client_id=f"c{number}",
        sent_at=TIME,
        as_of=AsOf(0),
    )


def entry(offset: int, event: Fact | None, judgement: Judgement = COUNTED) -> Entry:
    return Entry(PARTITION, offset, 0, f"id-{offset}", event, judgement)


@pytest.fixture
def memory() -> Memory:
    return Memory(begin=100, bound=3)


def test_a_message_is_found_by_its_id_and_by_its_pair(memory: Memory) -> None:
    memory.add(entry(100, message(7)))
    found = memory.message(7)
    assert found is not None
    assert found.offset == 100
    assert [of_pair.offset for of_pair in memory.of_key("1:2")] == [100]
    assert memory.of_key("1:2", since=101) == []


def test_a_void_message_is_remembered_in_order_but_found_nowhere(memory: Memory) -> None:
    memory.add(entry(100, message(7), Judgement(Verdict.BLOCKED)))
    assert [remembered.offset for remembered in memory.since(100)] == [100]
    assert memory.message(7) is None
    assert memory.of_key("1:2") == []


def test_what_is_beyond_the_bound_is_forgotten_everywhere(memory: Memory) -> None:
    opened = ConversationOpened(conversation_id=10, user_id=1, other_user_id=2, opened_at=TIME, as_of=AsOf(0))
    memory.add(entry(100, opened))
    assert memory.opened(10) == "1:2"
    for offset in range(101, 105):
        memory.add(entry(offset, message(offset, sender=3, recipient=4)))
    assert memory.opened(10) is None
    assert memory.message(101) is None
    assert memory.of_key("1:2") == []
    assert not memory.covers(101)
    assert memory.covers(102)


def test_of_long_messages_fewer_are_remembered_but_never_less_than_there_must_be() -> None:
    memory = Memory(begin=0, bound=100, least=10, contents=50_000)
    for offset in range(100):
        memory.add(entry(offset, message(offset)))
    assert memory.covers(0)
    for offset in range(100, 140):
        memory.add(entry(offset, message(offset, content="x" * 3_000)))
    assert memory.begin == 140 - 16
    for offset in range(140, 180):
        memory.add(entry(offset, message(offset, content="x" * 30_000)))
    assert memory.begin == 180 - 10
    for offset in range(180, 300):
        memory.add(entry(offset, message(offset)))
    assert memory.begin == 300 - 100


def test_a_slice_begins_where_it_is_asked_to(memory: Memory) -> None:
    for offset in range(100, 103):
        memory.add(entry(offset, None))
    assert [remembered.offset for remembered in memory.since(101)] == [101, 102]
    assert list(memory.since(103)) == []
    assert memory.covers(100)


def read(up_to: int, *, reader: int = 2) -> MessageRead:
    return MessageRead(
        message_id=up_to, conversation_id=10, reader_id=reader, sender_id=3 - reader, up_to_seq=up_to, read_at=TIME
    )


def blocked(user: int) -> ConversationBlocked:
    return ConversationBlocked(conversation_id=10, user_id=user, other_user_id=3 - user, blocked_at=TIME)


def unblocked(user: int) -> ConversationUnblocked:
    return ConversationUnblocked(conversation_id=10, user_id=user, other_user_id=3 - user, unblocked_at=TIME)


@pytest.mark.parametrize(
    ("events", "repeating"),
    [
        ([read(2), read(2), read(1), read(3), read(3)], [101, 102, 104]),
        ([read(2), read(2, reader=1), read(1)], [102]),
        ([blocked(1), blocked(1), unblocked(1), unblocked(1), blocked(1)], [101, 103]),
        ([blocked(1), blocked(2), unblocked(2), blocked(1)], [103]),
        ([blocked(1), read(1), message(1), message(1)], []),
        ([read(2), blocked(1), read(2), unblocked(1), read(2), read(2, reader=1)], [102]),
    ],
)
def test_a_read_or_a_block_repeats_what_is_so_already(events: list[Fact], repeating: list[int]) -> None:
    """After the end of a block nothing is taken to have been told while it was in force."""
    memory = Memory(begin=100, bound=10)
    for offset, event in enumerate(events, 100):
        memory.add(entry(offset, event))
    assert [one.offset for one in memory.since(100) if one.repeats] == repeating
    assert len(memory.of_key("1:2")) == len(events)


def test_a_read_repeats_only_what_is_remembered(memory: Memory) -> None:
    for offset, up_to in enumerate([5, 5, 5, 5, 5, 5], 100):
        memory.add(entry(offset, read(up_to)))
    assert [one.repeats for one in memory.since(103)] == [True, False, True]
    assert [one.offset for one in memory.of_user(2, 100)] == [103, 104, 105]


def test_both_users_find_a_message_and_a_block_is_the_blockers_own(memory: Memory) -> None:
    memory.add(entry(100, message(7)))
    memory.add(entry(101, message(8, sender=3, recipient=1)))
    memory.add(entry(102, ConversationBlocked(conversation_id=10, user_id=2, other_user_id=1, blocked_at=TIME)))
    found = {user: [of_user.offset for of_user in memory.of_user(user, 0)] for user in (1, 2, 3, 4)}
    assert found == {1: [100, 101], 2: [100, 102], 3: [101], 4: []}
    assert [of_user.offset for of_user in memory.of_user(1, 101)] == [101]


def test_what_concerns_a_user_ends_with_the_last_of_it_and_what_is_not_remembered_may_concern_anybody(
    memory: Memory,
) -> None:
    memory.add(entry(100, message(7)))
    memory.add(entry(101, message(8, sender=3, recipient=1)))
    assert [memory.after(user) for user in (1, 2, 3, 4)] == [102, 101, 102, 100]
    for offset in range(102, 105):
        memory.add(entry(offset, message(offset, sender=5, recipient=6)))
    assert [memory.after(user) for user in (1, 4, 5)] == [102, 102, 105]
    assert memory.of_user(1, 0) == memory.of_user(3, 0) == []
    assert set(memory._by_user) == {5, 6}
