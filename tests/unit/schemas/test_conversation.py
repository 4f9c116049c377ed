"""What each event that counts does to a conversation."""

import pytest

from schemas.conversation import Conversation, Inapplicable, apply, opened
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.times import format_time

ADA, BOB = 7, 12
OPENED = ConversationOpened(
    conversation_id=100, user_id=BOB, other_user_id=ADA, opened_at=format_time(0), as_of=AsOf(0)
)


def message(number: int, sender: int = ADA) -> MessageSent:
    return MessageSent(
        message_id=number,
        conversation_id=100,
        sender_id=sender,
        recipient_id=ADA + BOB - sender,
        content=f"message {number}",
        content_type="text",
        client_id=f"c{number}",
        sent_at=format_time(number),
        as_of=AsOf(0),
    )


def read(up_to: int, reader: int = BOB, at: int = 0) -> MessageRead:
    return MessageRead(
        message_id=up_to,
        conversation_id=100,
        reader_id=reader,
        sender_id=ADA + BOB - reader,
        up_to_seq=up_to,
        read_at=format_time(at),
    )


def blocked(user: int, at: int = 0) -> ConversationBlocked:
    return ConversationBlocked(
        conversation_id=100, user_id=user, other_user_id=ADA + BOB - user, blocked_at=format_time(at)
    )


def unblocked(user: int, at: int = 0) -> ConversationUnblocked:
    return ConversationUnblocked(
        conversation_id=100, user_id=user, other_user_id=ADA + BOB - user, unblocked_at=format_time(at)
    )


def fold(*events: ConversationEvent) -> Conversation:
    """Return the conversation after it was opened and these happened."""
    conversation = opened(OPENED)
    for event in events:
        assert apply(conversation, event) is conversation
    return conversation


def test_an_opening_begins_a_conversation_with_its_users_in_order() -> None:
    conversation = apply(None, OPENED)
    assert [member.user_id for member in conversation.members] == [ADA, BOB]
    assert (conversation.key, conversation.last_seq, conversation.last_message) == ("7:12", 0, None)
    assert conversation.updated_at == conversation.opened_at == format_time(0)
    assert not conversation.blocked


def test_only_its_users_take_part() -> None:
    conversation = fold()
    assert conversation.member(ADA) is conversation.other(BOB)
    assert conversation.member(BOB) is conversation.other(ADA)
    assert conversation.member(1) is None


def test_messages_are_numbered_and_counted_by_sender() -> None:
    conversation = fold(message(1), message(2), message(3, sender=BOB))
    assert conversation.last_seq == 3
    assert [member.sent for member in conversation.members] == [2, 1]


def test_the_newest_message_is_shown_and_moves_the_conversation() -> None:
    conversation = fold(message(1), message(2, sender=BOB))
    assert conversation.last_message is not None
    assert (conversation.last_message.content, conversation.last_message.sender_id) == ("message 2", BOB)
    assert conversation.updated_at == format_time(2)


def test_a_read_moves_the_watermark_and_not_the_conversation() -> None:
    conversation = fold(message(1), message(2))
    apply(conversation, read(2, at=9), covered=2)
    bob = conversation.other(ADA)
    assert (bob.read_seq, bob.read_count, bob.read_at) == (2, 2, format_time(9))
    assert conversation.updated_at == format_time(2)


def test_a_watermark_never_goes_back() -> None:
    conversation = fold(message(1), message(2), read(2, at=8), read(1, at=9))
    assert (conversation.other(ADA).read_seq, conversation.other(ADA).read_at) == (2, format_time(8))


def test_a_read_of_a_message_that_is_not_there_is_refused_and_changes_nothing() -> None:
    conversation = fold(message(1))
    with pytest.raises(Inapplicable, match="no message 2"):
        apply(conversation, read(2))
    assert conversation == fold(message(1))


def test_either_side_s_block_blocks_and_each_takes_back_their_own() -> None:
    assert fold(blocked(ADA)).blocked
    assert fold(blocked(BOB)).blocked
    assert fold(blocked(ADA), blocked(BOB), unblocked(ADA)).blocked
    assert not fold(blocked(ADA), blocked(BOB), unblocked(ADA), unblocked(BOB)).blocked


def test_a_repeated_block_and_unblock_keep_the_first_time() -> None:
    once = fold(blocked(ADA, at=1), blocked(ADA, at=2))
    assert once.other(BOB).blocked_at == format_time(1)
    back = fold(blocked(ADA, at=1), unblocked(ADA, at=2), unblocked(ADA, at=3))
    assert back.other(BOB).unblocked_at == format_time(2)


def test_a_new_block_has_its_own_time() -> None:
    ada = fold(blocked(ADA, at=1), unblocked(ADA, at=2), blocked(ADA, at=3)).other(BOB)
    assert (ada.blocks, ada.blocked_at, ada.unblocked_at) == (True, format_time(3), None)


def test_a_second_opening_is_refused() -> None:
    with pytest.raises(Inapplicable, match="has conversation 100 already"):
        apply(fold(), OPENED)


@pytest.mark.parametrize("event", [message(1), read(1), blocked(ADA), unblocked(ADA)], ids=lambda event: event.type)
def test_nothing_happens_before_the_opening(event: ConversationEvent) -> None:
    with pytest.raises(Inapplicable, match="no conversation yet"):
        apply(None, event)


def test_an_event_that_names_another_conversation_of_the_pair_is_refused() -> None:
    wrong = ConversationBlocked(conversation_id=101, user_id=ADA, other_user_id=BOB, blocked_at=format_time(0))
    with pytest.raises(Inapplicable, match="is 100, not 101"):
        apply(fold(), wrong)
