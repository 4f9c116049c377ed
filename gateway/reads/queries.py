"""What the GETs ask the read tables: one statement for each, and the rows as answers.

Statements filter and order by what comes straight from an index, so that every page costs the same, however long a
list or a history is. Who may ask is in read_routes.py; how fresh the tables are is in waiting.py.
"""

from typing import Any, NamedTuple

from infra.read_tables import ReadTables
from schemas.answers import Block, BlockList
from schemas.ids import MAX_ID
from schemas.requests import ListConversations, ListMessages
from schemas.times import Time, write_time

# Postgres writes the pages: half the work of an edge would be to make objects of their rows and JSON of these.
#
# The page is cut out of the index before anything is joined to it; the total comes along for a page without rows too.
_CONVERSATIONS = """
SELECT
    (SELECT coalesce(sum(total), 0)::bigint FROM {schema}.inbox_totals WHERE user_id = $1) AS total,
    coalesce(string_agg(row_to_json(shown)::text, ',' ORDER BY l.updated_at DESC, l.id DESC), '') AS listed,
    coalesce(array_agg(l.other_user_id), ARRAY[]::bigint[]) AS users
FROM (
    SELECT i.conversation_id FROM {schema}.inbox AS i WHERE i.user_id = $1
    ORDER BY i.updated_at DESC, i.conversation_id DESC LIMIT $2 OFFSET $3
) AS page
JOIN {schema}.conversation_list AS l ON l.user_id = $1 AND l.id = page.conversation_id
CROSS JOIN LATERAL (
    SELECT
        l.id, l.user_id, l.other_user_id, l.other_user_name, l.other_user_photo,
        l.last_message, l.last_message_sender, l.unread_count,
        to_char(l.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS updated_at,
        to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
) AS shown
"""
# Numbers have no gaps, so the page is a range of them. $3: the first that is too new, $4: the last that is too old.
# Its JSON is put together as text: row_to_json would make a row of each first, a fifth of the statement's time.
_MESSAGES = r"""
SELECT c.lower_user_id, c.higher_user_id, c.last_seq AS total, (
    SELECT coalesce(string_agg(
        '{"id":' || m.id || ',"conversation_id":' || m.conversation_id || ',"sender_id":' || m.sender_id
        || ',"content":' || to_json(m.content) || ',"content_type":' || to_json(m.content_type)
        || ',"created_at":' || to_char(m.created_at AT TIME ZONE 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\"')
        || ',"read_at":' || coalesce(to_char(m.read_at AT TIME ZONE 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\"'), 'null')
        || ',"seq":' || m.seq || ',"position":"' || m.partition || ':' || m.record_offset
        || CASE WHEN m.sender_id = $2 THEN '","client_id":' || to_json(m.client_id) || '}' ELSE '"}' END,
        ',' ORDER BY m.seq DESC
    ), '')
    FROM {schema}.message_list AS m
    WHERE m.conversation_id = c.id
        AND m.seq <= least(c.last_seq, $3::bigint - 1) - $5::bigint
        AND m.seq > greatest(least(c.last_seq, $3::bigint - 1) - $5::bigint - $6::bigint, $4::bigint)
) AS listed
FROM {schema}.conversations AS c WHERE c.id = $1
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


class Page(NamedTuple):
    """A page as JSON, and its users: those that a list shows beside its own, the two of a history."""

    content: bytes
    users: tuple[int, ...]


class Queries:
    """The questions of one edge."""

    def __init__(self, tables: ReadTables) -> None:
        self._tables = tables

    async def conversations(self, asked: ListConversations) -> Page:
        """Return a page of a user's conversations, latest first: a `ConversationList`."""
        (row,) = await self._tables.fetch(_CONVERSATIONS, asked.user_id, asked.limit, asked.offset)
        return Page(_page("conversations", row), tuple(row["users"]))

    async def messages(self, conversation_id: int, viewer: int, asked: ListMessages) -> Page | None:
        """Return a page of a history, latest first: a `MessageList`; None when there is no such conversation."""
        before = MAX_ID if asked.before_seq is None else asked.before_seq
        row = await self._tables.fetchrow(
            _MESSAGES, conversation_id, viewer, before, asked.after_seq or 0, asked.offset, asked.limit
        )
        return Page(_page("messages", row), (row["lower_user_id"], row["higher_user_id"])) if row else None

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


def _page(name: str, row: Any) -> bytes:
    return f'{{"{name}":[{row["listed"]}],"total":{row["total"]}}}'.encode()
