"""The durable frames: what the two users of a conversation are told of one event, encoded.

Pure. Live pushes (hub.py) and catch-ups from the tail's memory (resume.py) both speak through this module.
"""

from typing import NamedTuple

from schemas import frames
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)


class Profile(NamedTuple):
    """How a user is shown; None is not known."""

    name: str | None = None
    photo: str | None = None


def message(event: MessageSent, seq: int, position: str, *, to_sender: bool = False) -> bytes:
    """Tell of a message; its client_id is for its sender only."""
    return frames.encode(
        frames.Message(
            message_id=event.message_id,
            conversation_id=event.conversation_id,
            sender_id=event.sender_id,
            content=event.content,
            content_type=event.content_type,
            sent_at=event.sent_at,
            seq=seq,
            client_id=event.client_id if to_sender else None,
            position=position,
        )
    )


def read(event: MessageRead, position: str) -> bytes:
    """Tell how far the reader has read."""
    return frames.encode(
        frames.Read(
            message_id=event.message_id,
            conversation_id=event.conversation_id,
            reader_id=event.reader_id,
            seq=event.up_to_seq,
            read_at=event.read_at,
            position=position,
        )
    )


def opened(event: ConversationOpened, user_id: int, other: Profile, position: str) -> bytes:
    """Tell one of the two users of their new conversation, as the list shows it."""
    return frames.encode(
        frames.Opened(
            id=event.conversation_id,
            user_id=user_id,
            other_user_id=event.other_user_id if user_id == event.user_id else event.user_id,
            other_user_name=other.name,
            other_user_photo=other.photo,
            last_message=None,
            last_message_sender=None,
            unread_count=0,
            updated_at=event.opened_at,
            created_at=event.opened_at,
            position=position,
        )
    )


def block(event: ConversationBlocked | ConversationUnblocked, position: str) -> bytes:
    """Tell the blocker."""
    if isinstance(event, ConversationBlocked):
        return frames.encode(
            frames.Blocked(
                conversation_id=event.conversation_id,
                user_id=event.user_id,
                blocked_at=event.blocked_at,
                position=position,
            )
        )
    return frames.encode(
        frames.Unblocked(
            conversation_id=event.conversation_id,
            user_id=event.user_id,
            unblocked_at=event.unblocked_at,
            position=position,
        )
    )
