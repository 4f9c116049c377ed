"""Which conversations stay in memory, and what they know of events that cannot be theirs."""

import pytest
from msgspec.structs import replace

from command_api.client_ids import ClientIds
from command_api.kept import Kept, Known
from infra.memory import Entry
from schemas.conversation import Conversation, Member
from schemas.events import AsOf, ConversationOpened, MessageRead, MessageSent
from schemas.ids import Partition
from schemas.judge import COUNTED

PARTITION = Partition("chat.conversations", 0)
TIME = "2026-01-01T00:00:00.000Z"


def known(number: int, *, client_ids: int = 0, proven: bool = False) -> Known:
    members = (Member(user_id=2 * number), Member(user_id=2 * number + 1))
    conversation = Conversation(id=number, members=members, opened_at=TIME)
    return Known(conversation, PARTITION, ClientIds(map(str, range(client_ids))), complete=True, proven=proven)


def message(of: Known, client_id: str) -> MessageSent:
    sender, recipient = of.conversation.members
    return MessageSent(
        message_id=1,
        conversation_id=of.conversation.id,
        sender_id=sender.user_id,
        recipient_id=recipient.user_id,
        content="x",
        content_type="text",
        client_id=client_id,
        sent_at=TIME,
        as_of=AsOf(0),
    )


def test_the_one_that_was_not_used_for_longest_goes() -> None:
    kept = Kept(most=2)
    for number in (1, 2):
        kept.add(known(number))
    kept.of_id(1)
    kept.add(known(3))
    assert [number for number in (1, 2, 3) if kept.of_id(number)] == [1, 3]
    assert kept.of_key("4:5") is None


def test_one_that_a_command_is_using_stays() -> None:
    kept = Kept(most=1)
    with kept.add(known(1)):
        kept.add(known(2))
        kept.drop()
        assert kept.of_id(1) is not None
        assert kept.of_id(2) is None
    kept.drop()
    assert kept.of_id(1) is None


def test_one_that_outlived_its_tables_goes_when_the_last_command_is_done() -> None:
    """Until then it takes what the tail brings, for that command's sake."""
    kept = Kept(most_client_ids=1)
    one = kept.add(known(1))
    with one:
        kept.drop()
        with one:
            assert kept.of_id(1) is one
        assert kept.of_key("2:3") is one
        kept.fold(one, message(one, "a"))
        assert one.conversation.last_seq == 1
    assert kept.of_key("2:3") is None
    assert kept.of_id(1) is None
    assert kept.has_room(1)


def test_client_ids_count_however_few_the_conversations_are() -> None:
    kept = Kept(most=100, most_client_ids=5)
    kept.add(known(1, client_ids=3))
    small = kept.add(known(2))
    for number in range(2):
        kept.fold(small, message(small, f"a-{number}"))
    assert kept.of_id(1) is not None
    kept.of_id(2)
    kept.fold(small, message(small, "b"))
    assert kept.of_id(1) is None
    assert kept.of_id(2) is small


def test_another_conversation_of_the_same_pair_takes_its_place() -> None:
    """Nobody writes one but a producer that is not ours."""
    kept = Kept(most_client_ids=5)
    one = kept.add(known(1, client_ids=2))
    other = Known(
        Conversation(id=99, members=one.conversation.members, opened_at=TIME), PARTITION, ClientIds(), complete=True
    )
    kept.add(other)
    assert (kept.of_id(1), kept.of_id(99), kept.of_key("2:3")) == (None, other, other)
    assert kept.has_room(5)
    kept.add(one)
    assert (kept.of_id(1), kept.of_id(99), kept.of_key("2:3")) == (one, None, one)
    kept.drop()
    assert kept.of_key("2:3") is None
    assert kept.has_room(5)


def entry(event: MessageSent) -> Entry:
    return Entry(PARTITION, 1, 0, None, event, COUNTED)


def test_client_ids_that_are_learned_count_and_make_it_complete() -> None:
    kept = Kept(most_client_ids=5)
    one = kept.add(known(1, client_ids=2))
    one.complete = False
    assert (kept.has_room(3), kept.has_room(4)) == (True, False)
    kept.learn(one, ["2:a", "2:b", "3:a"], [entry(message(one, "c"))])
    assert one.complete
    assert all(one.client_ids.may_have(sender, client_id) for sender, client_id in ((2, "a"), (2, "c"), (3, "a")))
    assert not one.client_ids.may_have(3, "c")
    assert (kept.has_room(1), kept.has_room(2)) == (True, False)


def test_one_that_was_forgotten_learns_nothing() -> None:
    kept = Kept(most_client_ids=5)
    one = kept.add(known(1))
    one.complete = False
    kept.drop()
    kept.learn(one, ["2:a"], ())
    assert not one.complete
    assert kept.has_room(5)


def test_it_is_told_what_contradicts_a_conversation() -> None:
    kept = Kept()
    one = kept.add(known(1))
    read = MessageRead(message_id=1, conversation_id=1, reader_id=3, sender_id=2, up_to_seq=1, read_at=TIME)
    second = ConversationOpened(conversation_id=9, user_id=2, other_user_id=3, opened_at=TIME, as_of=AsOf(0))
    assert not kept.fold(one, read)
    assert not kept.fold(one, second)
    assert kept.fold(one, message(one, "a"))
    assert kept.fold(one, read)


@pytest.mark.parametrize("proven", [True, False])
def test_one_that_was_only_seen_to_be_opened_may_not_be_the_pairs_first(proven: bool) -> None:
    """Then another's message may count; it is not applied in either case."""
    kept = Kept()
    one = kept.add(known(1, proven=proven))
    assert kept.fold(one, replace(message(one, "a"), conversation_id=9)) is not proven
    assert one.conversation.last_seq == 0
