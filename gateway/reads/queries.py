"""What the GETs ask the read tables: one statement for each, and the rows as answers.

Statements filter and order by what comes straight from an index, so that every page costs the same, however long a
list or a history is. Who may ask is in read_routes.py; how fresh the tables are is in waiting.py.
"""

from typing import Any, NamedTuple

from msgspec import UNSET

from command_api.listing import listed
from infra.read_tables import ReadTables
from schemas.answers import Block, BlockList, ConversationList, ListedMessage, MessageList
from schemas.ids import Position
from schemas.requests import ListConversations, ListMessages
from schemas.times import Time, write_time

# The page is cut out of the index before anything is joined to it; the total comes along for a page without rows too.
_CONVERSATIONS = """
SELECT t.total, v.*
FROM (SELECT coalesce(sum(total), 0)::bigint AS total FROM {schema}.inbox_totals WHERE user_id = $1) AS t
LEFT JOIN LATERAL (
    SELECT l.*
    FROM (
        SELECT i.conversation_id FROM {schema}.inbox AS i WHERE i.user_id = $1
        ORDER BY i.updated_at DESC, i.conversation_id DESC LIMIT $2 OFFSET $3
    ) AS page
    JOIN {schema}.conversation_list AS l ON l.user_id = $1 AND l.id = page.conversation_id
) AS v ON true
ORDER BY v.updated_at DESC, v.id DESC
"""
_HISTORY = "SELECT lower_user_id, higher_user_id, last_seq FROM {schema}.conversations WHERE id = $1"
_MESSAGES = """
SELECT id, sender_id, content, content_type, created_at, read_at, seq, client_id, record_offset, partition
FROM {schema}.message_list WHERE conversation_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq DESC
"""
_BLOCKED = """
SELECT user_id, conversation_id, blocked_at FROM {schema}.blocked_users
WHERE user_id = $1 AND unblocked_at IS NULL ORDER BY blocked_at DESC, conversation_id DESC
"""
_LAST_SEEN = "SELECT last_seen FROM {schema}.last_seen WHERE user_id = $1"
_KNOWN = """
SELECT EXISTS (SELECT FROM {schema}.users WHERE id = $1)
    OR EXISTS (SELECT FROM {schema}.inbox_totals WHERE user_id = $1)
"""


class History(NamedTuple):
    """Whose conversation it is, and the number of its last message."""

    users: tuple[int, int]
    last_seq: int


class Queries:
    """The questions of one edge."""

    def __init__(self, tables: ReadTables) -> None:
        self._tables = tables

    async def conversations(self, asked: ListConversations) -> ConversationList:
        """Return a page of a user's conversations, latest first."""
        rows = await self._tables.fetch(_CONVERSATIONS, asked.user_id, asked.limit, asked.offset)
        return ConversationList(
            conversations=[listed(row) for row in rows if row["id"] is not None], total=rows[0]["total"]
        )

    async def history(self, conversation_id: int) -> History | None:
        """Return what there is to know of a conversation before its messages are read; None when it is not there."""
        row = await self._tables.fetchrow(_HISTORY, conversation_id)
        return History((row["lower_user_id"], row["higher_user_id"]), row["last_seq"]) if row else None

    async def messages(self, conversation_id: int, viewer: int, last_seq: int, asked: ListMessages) -> MessageList:
        """Return a page of a history, latest first. Numbers have no gaps, so the page is a range of them."""
        newest = last_seq if asked.before_seq is None else min(last_seq, asked.before_seq - 1)
        newest -= asked.offset
        before = max(newest - asked.limit, asked.after_seq or 0)
        if newest <= before:
            return MessageList(messages=[], total=last_seq)
        rows = await self._tables.fetch(_MESSAGES, conversation_id, before, newest)
        return MessageList(messages=[_message(row, conversation_id, viewer) for row in rows], total=last_seq)

    async def blocked(self, user_id: int) -> BlockList:
        """Return a user's blocks that are in force, latest first."""
        rows = await self._tables.fetch(_BLOCKED, user_id)
        blocked = [
            Block(user_id=user_id, conversation_id=row["conversation_id"], blocked_at=write_time(row["blocked_at"]))
            for row in rows
        ]
        return BlockList(blocked=blocked, total=len(blocked))

    async def last_seen(self, user_id: int) -> Time | None:
        """Return when a user's last socket closed, or None."""
        row = await self._tables.fetchrow(_LAST_SEEN, user_id)
        return write_time(row["last_seen"]) if row else None

    async def is_known(self, user_id: int) -> bool:
        """Tell whether a user has a profile or a conversation."""
        row = await self._tables.fetchrow(_KNOWN, user_id)
        return bool(row and row[0])


def _message(row: Any, conversation_id: int, viewer: int) -> ListedMessage:
    read_at = row["read_at"]
    return ListedMessage(
        id=row["id"],
        conversation_id=conversation_id,
        sender_id=row["sender_id"],
        content=row["content"],
        content_type=row["content_type"],
        created_at=write_time(row["created_at"]),
        read_at=None if read_at is None else write_time(read_at),
        seq=row["seq"],
        position=str(Position(row["partition"], row["record_offset"])),
        client_id=row["client_id"] if row["sender_id"] == viewer else UNSET,
    )
