"""Read a conversation's log: what each event that counts does to it.

Pure: no clock, no ids made, no I/O, and no knowledge of Kafka, HTTP or SQL. Events are in events.py, verdicts in
judge.py; projections and edges both run this.
"""

from typing import assert_never

from msgspec import Struct

from schemas.events import (
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import pair_key
from schemas.times import Time


class Inapplicable(ValueError):
    """An event that contradicts what came before it in the log; the text says how."""


class Member(Struct):
    """One user's side of a conversation.

    `sent` counts their messages. `read_seq` is their watermark, and `read_count` how many of the *other's* messages it
    covers, so that unread is a subtraction. A block in force has `blocked_at`; one taken back has `unblocked_at` too.
    """

    user_id: int
    sent: int = 0
    read_seq: int = 0
    read_count: int = 0
    read_at: Time | None = None
    blocked_at: Time | None = None
    unblocked_at: Time | None = None

    @property
    def blocks(self) -> bool:
        return self.blocked_at is not None and self.unblocked_at is None


class LastMessage(Struct, frozen=True):
    """What a list shows of the newest message."""

    content: str
    sender_id: int
    sent_at: Time


class Conversation(Struct):
    """A conversation after some prefix of its partition's log. `members` are ordered by user id."""

    id: int
    members: tuple[Member, Member]
    opened_at: Time
    last_seq: int = 0
    last_message: LastMessage | None = None

    @property
    def key(self) -> str:
        return pair_key(self.members[0].user_id, self.members[1].user_id)

    @property
    def blocked(self) -> bool:
        """A block by either side stops both."""
        return self.members[0].blocks or self.members[1].blocks

    @property
    def updated_at(self) -> Time:
        """It moves with messages, not with reads."""
        return self.last_message.sent_at if self.last_message else self.opened_at

    def member(self, user_id: int) -> Member | None:
        """Return this user's side, or None for somebody who does not take part."""
        for member in self.members:
            if member.user_id == user_id:
                return member
        return None

    def other(self, user_id: int) -> Member:
        """Return the side of the one who is not `user_id`."""
        first, second = self.members
        return second if first.user_id == user_id else first


def opened(event: ConversationOpened) -> Conversation:
    """Return the conversation that a counted `ConversationOpened` begins."""
    lower, higher = sorted((event.user_id, event.other_user_id))
    return Conversation(
        id=event.conversation_id, members=(Member(user_id=lower), Member(user_id=higher)), opened_at=event.opened_at
    )


def apply(conversation: Conversation | None, event: ConversationEvent, *, covered: int = 0) -> Conversation:
    """Fold one *counted* event into the conversation, in place, and return it.

    `covered`: for a read, how many of the sender's messages its `up_to_seq` covers; only readers that show unread
    counts need to give it. Inapplicable when the event contradicts the conversation: nothing has changed then.
    """
    if isinstance(event, ConversationOpened):
        if conversation is not None:
            raise Inapplicable(f"the pair has conversation {conversation.id} already")
        return opened(event)
    if conversation is None:
        raise Inapplicable("the pair has no conversation yet")
    if conversation.id != event.conversation_id:
        raise Inapplicable(f"the pair's conversation is {conversation.id}, not {event.conversation_id}")
    match event:
        case MessageSent():
            conversation.last_seq += 1
            conversation.other(event.recipient_id).sent += 1
            conversation.last_message = LastMessage(event.content, event.sender_id, event.sent_at)
        case MessageRead():
            _read(conversation, event, covered)
        case ConversationBlocked():
            _block(conversation.other(event.other_user_id), event)
        case ConversationUnblocked():
            _unblock(conversation.other(event.other_user_id), event)
        case _:
            assert_never(event)
    return conversation


def _block(blocker: Member, event: ConversationBlocked) -> None:
    if not blocker.blocks:
        blocker.blocked_at, blocker.unblocked_at = event.blocked_at, None


def _unblock(blocker: Member, event: ConversationUnblocked) -> None:
    if blocker.unblocked_at is None:
        blocker.unblocked_at = event.unblocked_at


def _read(conversation: Conversation, event: MessageRead, covered: int) -> None:
    if event.up_to_seq > conversation.last_seq:
        raise Inapplicable(f"there is no message {event.up_to_seq} yet")
    reader = conversation.other(event.sender_id)
    if event.up_to_seq > reader.read_seq:
        reader.read_seq, reader.read_count, reader.read_at = event.up_to_seq, covered, event.read_at
