"""Load what the log did to a conversation before the tail began: one row, its client_ids and the stored position.

Each load is one statement, so that the row and the position belong together. Only SQL and rows; what is done with
them is in conversations.py.
"""

from typing import Any, NamedTuple

from infra.read_tables import ReadTables
from schemas.conversation import Conversation, LastMessage, Member
from schemas.ids import Partition
from schemas.times import Time, write_time
from schemas.topics import CONVERSATIONS

MOST_CLIENT_IDS = 2_000
"""Conversations with more messages are loaded without their client_ids, which come later (conversations.py)."""

_USED = "ARRAY(SELECT m.sender_id || ':' || m.client_id FROM {schema}.messages m WHERE m.conversation_id = c.id)"
_ROW = "SELECT c.*, p.next_offset, CASE WHEN c.last_seq <= $2 THEN " + _USED + " END AS client_ids"
_OF_ID = """
FROM {schema}.conversations c
JOIN {schema}.positions p ON p.topic = 'chat.conversations' AND p.partition = c.partition
WHERE c.id = $1
"""
_OF_PAIR = """
FROM {schema}.positions p
LEFT JOIN {schema}.conversations c ON c.lower_user_id = $1 AND c.higher_user_id = $3
WHERE p.topic = 'chat.conversations' AND p.partition = $4
"""
_BY_ID = _ROW + _OF_ID
_BY_PAIR = _ROW + _OF_PAIR
_CLIENT_IDS = "SELECT p.next_offset, " + _USED + " AS client_ids" + _OF_ID
_CLAIMED = """
SELECT p.next_offset, m.id, m.content, m.content_type, m.created_at, m.seq, m.record_offset
FROM {schema}.positions p
LEFT JOIN {schema}.messages m ON m.conversation_id = $2 AND m.sender_id = $3 AND m.client_id = $4
WHERE p.topic = 'chat.conversations' AND p.partition = $1
"""
_MESSAGE = "SELECT conversation_id, seq, sender_id FROM {schema}.messages WHERE id = $1"
_FIRST_READ = """
SELECT p.next_offset, r.read_at
FROM {schema}.positions p
LEFT JOIN LATERAL (
    SELECT read_at FROM {schema}.reads WHERE conversation_id = $2 AND reader_id = $3 AND up_to_seq >= $4
    ORDER BY up_to_seq LIMIT 1
) r ON true
WHERE p.topic = 'chat.conversations' AND p.partition = $1
"""
_REPORT = """
SELECT p.next_offset, r.id, r.reported_at, r.report_type, r.reason
FROM {schema}.positions p
LEFT JOIN {schema}.reports r ON r.conversation_id = $2 AND r.user_id = $3 AND r.client_id = $4
WHERE p.topic = 'chat.moderation' AND p.partition = $1
"""


class Loaded(NamedTuple):
    """A conversation as of the offset `position` of its partition.

    `client_ids`: those that were used, each as "sender:client_id"; None when they are too many.
    """

    conversation: Conversation
    partition: Partition
    position: int
    client_ids: list[str] | None


class Loads:
    """Queries of the write side."""

    def __init__(self, tables: ReadTables) -> None:
        self._tables = tables

    async def conversation(self, conversation_id: int) -> Loaded | None:
        """Load by id."""
        return _loaded(await self._tables.fetchrow(_BY_ID, conversation_id, MOST_CLIENT_IDS))

    async def pair(self, partition: int, lower: int, higher: int) -> tuple[Loaded | None, int]:
        """Load by the two users, in order, as of their partition's stored position, which comes along."""
        row = await self._tables.fetchrow(_BY_PAIR, lower, MOST_CLIENT_IDS, higher, partition)
        return _loaded(row), _stored(row)

    async def claimed(self, partition: int, conversation_id: int, sender_id: int, client_id: str) -> tuple[Any, int]:
        """Return the message that has this client_id, or None, as of the stored position, which comes along.

        Its columns: id, content, content_type, created_at, seq, record_offset.
        """
        row = await self._tables.fetchrow(_CLAIMED, partition, conversation_id, sender_id, client_id)
        return (row if row and row["id"] else None), _stored(row)

    async def client_ids(self, conversation_id: int) -> tuple[list[str], int]:
        """Return all client_ids that were used, each as "sender:client_id", as of the stored position."""
        row = await self._tables.fetchrow(_CLIENT_IDS, conversation_id)
        return (row["client_ids"] if row else []), _stored(row)

    async def message(self, message_id: int) -> Any | None:
        """Return where a message is: conversation_id, seq, sender_id."""
        return await self._tables.fetchrow(_MESSAGE, message_id)

    async def first_read(
        self, partition: int, conversation_id: int, reader_id: int, seq: int
    ) -> tuple[Time | None, int]:
        """Return when the reader's watermark first reached `seq`, as of the stored position, which comes along."""
        row = await self._tables.fetchrow(_FIRST_READ, partition, conversation_id, reader_id, seq)
        return (write_time(row["read_at"]) if row and row["read_at"] else None), _stored(row)

    async def report(
        self, partition: int, conversation_id: int, user_id: int, client_id: str
    ) -> tuple[Any | None, int]:
        """Return the report that has this client_id, or None, as of the stored position, which comes along.

        Its columns: id, reported_at, report_type, reason.
        """
        row = await self._tables.fetchrow(_REPORT, partition, conversation_id, user_id, client_id)
        return (row if row and row["id"] else None), _stored(row)


def _stored(row: Any | None) -> int:
    """Return the stored position that comes along with a row; there is none of a partition without records."""
    return row["next_offset"] if row else 0


def _loaded(row: Any | None) -> Loaded | None:
    if row is None or row["id"] is None:
        return None
    conversation = Conversation(
        id=row["id"],
        members=(_member(row, "lower"), _member(row, "higher")),
        opened_at=write_time(row["opened_at"]),
        last_seq=row["last_seq"],
        last_message=LastMessage(row["last_message"], row["last_message_sender"], write_time(row["updated_at"]))
        if row["last_seq"]
        else None,
    )
    return Loaded(
        conversation,
        Partition(CONVERSATIONS, row["partition"]),
        row["next_offset"],
        row["client_ids"],
    )


def _member(row: Any, side: str) -> Member:
    def time(name: str) -> Time | None:
        moment = row[f"{side}_{name}"]
        return None if moment is None else write_time(moment)

    return Member(
        user_id=row[f"{side}_user_id"],
        sent=row[f"{side}_sent"],
        read_seq=row[f"{side}_read_seq"],
        read_count=row[f"{side}_read_count"],
        read_at=time("read_at"),
        blocked_at=time("blocked_at"),
        unblocked_at=time("unblocked_at"),
    )
