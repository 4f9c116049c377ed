"""Rows of the read tables as durable frames: the same that durable.py makes of events.

Pure. `touched`: the conversations' rows by id; a row's partition is its conversation's.
"""

from typing import Any

from gateway.sockets.session import Given
from schemas import frames
from schemas.ids import Position
from schemas.times import write_time


def opened(row: Any, user_id: int) -> Given:
    """Tell of a conversation as it was when it was opened."""
    opened_at = write_time(row["opened_at"])
    frame = frames.Opened(
        id=row["id"],
        user_id=user_id,
        other_user_id=row["lower_user_id"] + row["higher_user_id"] - user_id,
        other_user_name=row["name"],
        other_user_photo=row["photo"],
        last_message=None,
        last_message_sender=None,
        unread_count=0,
        updated_at=opened_at,
        created_at=opened_at,
        position=str(Position(row["partition"], row["opened_offset"])),
    )
    return _given(row["partition"], row["opened_offset"], frame)


def message(row: Any, touched: dict[int, Any], user_id: int) -> Given:
    """Tell of a message; its client_id is for its sender only."""
    partition, offset = touched[row["conversation_id"]]["partition"], row["record_offset"]
    frame = frames.Message(
        message_id=row["id"],
        conversation_id=row["conversation_id"],
        sender_id=row["sender_id"],
        content=row["content"],
        content_type=row["content_type"],
        sent_at=write_time(row["created_at"]),
        seq=row["seq"],
        client_id=row["client_id"] if row["sender_id"] == user_id else None,
        position=str(Position(partition, offset)),
    )
    return _given(partition, offset, frame)


def read(row: Any, touched: dict[int, Any]) -> Given:
    """Tell how far somebody has read."""
    partition, offset = touched[row["conversation_id"]]["partition"], row["record_offset"]
    frame = frames.Read(
        message_id=row["message_id"],
        conversation_id=row["conversation_id"],
        reader_id=row["reader_id"],
        seq=row["up_to_seq"],
        read_at=write_time(row["read_at"]),
        position=str(Position(partition, offset)),
    )
    return _given(partition, offset, frame)


def block(row: Any, touched: dict[int, Any]) -> Given:
    """Tell the blocker of the latest block, or that it was taken back."""
    partition, offset = touched[row["conversation_id"]]["partition"], row["record_offset"]
    position = str(Position(partition, offset))
    conversation_id, user_id = row["conversation_id"], row["user_id"]
    frame: frames.ServerFrame
    if row["unblocked_at"] is None:
        blocked_at = write_time(row["blocked_at"])
        frame = frames.Blocked(
            conversation_id=conversation_id, user_id=user_id, blocked_at=blocked_at, position=position
        )
    else:
        unblocked_at = write_time(row["unblocked_at"])
        frame = frames.Unblocked(
            conversation_id=conversation_id, user_id=user_id, unblocked_at=unblocked_at, position=position
        )
    return _given(partition, offset, frame)


def _given(partition: int, offset: int, frame: frames.ServerFrame) -> Given:
    return Given(partition, offset, frames.encode(frame))
