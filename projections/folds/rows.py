"""Rows from conversations and back: times are text in events and moments in Postgres. Pure."""

from datetime import datetime

from projections.tables import conversations
from schemas.conversation import Conversation, Inapplicable, LastMessage, Member
from schemas.times import Time, read_time, write_time


def moment(time: Time) -> datetime:
    """Return the moment of an event's time; Inapplicable for a day that no calendar has."""
    try:
        return read_time(time)
    except ValueError as error:
        raise Inapplicable(f"{time!r} is no time: {error}") from None


def pair_of(key: bytes) -> tuple[int, int]:
    """Return the two user ids of a pair's key."""
    lower, _, higher = key.partition(b":")
    return int(lower), int(higher)


def conversation_row(conversation: Conversation, partition: int, offset: int) -> conversations.Row:
    """Return the row of a conversation whose last event lies at `offset`."""
    lower, higher = conversation.members
    last = conversation.last_message
    return conversations.Row(
        conversation.id,
        partition,
        lower.user_id,
        higher.user_id,
        read_time(conversation.opened_at),
        conversation.last_seq,
        lower.sent,
        higher.sent,
        lower.read_seq,
        lower.read_count,
        _moment(lower.read_at),
        higher.read_seq,
        higher.read_count,
        _moment(higher.read_at),
        _moment(lower.blocked_at),
        _moment(lower.unblocked_at),
        _moment(higher.blocked_at),
        _moment(higher.unblocked_at),
        last.content if last else None,
        last.sender_id if last else None,
        read_time(conversation.updated_at),
        offset,
    )


def revive(row: conversations.Row) -> Conversation:
    """Return the conversation that a row keeps."""
    lower = Member(
        user_id=row.lower_user_id,
        sent=row.lower_sent,
        read_seq=row.lower_read_seq,
        read_count=row.lower_read_count,
        read_at=_time(row.lower_read_at),
        blocked_at=_time(row.lower_blocked_at),
        unblocked_at=_time(row.lower_unblocked_at),
    )
    higher = Member(
        user_id=row.higher_user_id,
        sent=row.higher_sent,
        read_seq=row.higher_read_seq,
        read_count=row.higher_read_count,
        read_at=_time(row.higher_read_at),
        blocked_at=_time(row.higher_blocked_at),
        unblocked_at=_time(row.higher_unblocked_at),
    )
    last = None
    if row.last_message is not None and row.last_message_sender is not None:
        last = LastMessage(row.last_message, row.last_message_sender, write_time(row.updated_at))
    return Conversation(
        id=row.id,
        members=(lower, higher),
        opened_at=write_time(row.opened_at),
        last_seq=row.last_seq,
        last_message=last,
    )


def _moment(time: Time | None) -> datetime | None:
    return None if time is None else read_time(time)


def _time(at: datetime | None) -> Time | None:
    return None if at is None else write_time(at)
