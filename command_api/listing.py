"""A conversation as one of its users sees it in a list: a row of the read tables, as an answer."""

from typing import Any

from command_api.kept import Known
from infra.edge import Edge
from infra.staleness import PATIENCE_SECONDS, stale
from schemas.answers import ListedConversation
from schemas.errors import Unavailable
from schemas.events import MessageSent
from schemas.times import write_time

_ROW = "SELECT * FROM {schema}.conversation_list WHERE user_id = $1 AND id = $2"
_PROFILE = "SELECT name, photo FROM {schema}.users WHERE id = $1"


class Listing:
    """Looks conversations up for those who open them."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._tables = edge.tables
        self._tail = edge.tail

    async def seen(self, known: Known, user_id: int) -> ListedConversation:
        """Return a conversation that the tables need not have yet, as the tail has seen it."""
        conversation = known.conversation
        other_user_id = conversation.other(user_id).user_id
        profile = await self._tables.fetchrow(_PROFILE, other_user_id)
        last = conversation.last_message
        return ListedConversation(
            id=conversation.id,
            user_id=user_id,
            other_user_id=other_user_id,
            other_user_name=profile["name"] if profile else None,
            other_user_photo=profile["photo"] if profile else None,
            last_message=last.content if last else None,
            last_message_sender=last.sender_id if last else None,
            unread_count=self._unread(known, user_id),
            updated_at=conversation.updated_at,
            created_at=conversation.opened_at,
        )

    async def found(self, known: Known, user_id: int) -> tuple[ListedConversation, dict[str, str]]:
        """Return a conversation that was there, and the headers that say how far behind the tables are, if they are.

        Unavailable when the tables are not behind and do not have it.
        """
        now = {known.partition: self._tail.positions[known.partition]}
        with known:
            headers = {} if await self._tables.passed(now, PATIENCE_SECONDS) else stale(self._edge, now)
            row = await self._tables.fetchrow(_ROW, user_id, known.conversation.id)
            if row is not None:
                return listed(row), headers
            if not headers:
                raise Unavailable("the read tables do not have the conversation")
            return await self.seen(known, user_id), headers

    def _unread(self, known: Known, user_id: int) -> int:
        """Count the other's messages past the watermark, as far as they are remembered."""
        read_seq = known.member(user_id).read_seq
        return sum(
            isinstance(entry.event, MessageSent)
            and entry.event.recipient_id == user_id
            and entry.judgement.seq > read_seq
            for entry in self._tail.memories[known.partition].of_key(known.conversation.key)
        )


def listed(row: Any) -> ListedConversation:
    """Return a row of `conversation_list` as an answer."""
    return ListedConversation(
        id=row["id"],
        user_id=row["user_id"],
        other_user_id=row["other_user_id"],
        other_user_name=row["other_user_name"],
        other_user_photo=row["other_user_photo"],
        last_message=row["last_message"],
        last_message_sender=row["last_message_sender"],
        unread_count=row["unread_count"],
        updated_at=write_time(row["updated_at"]),
        created_at=write_time(row["created_at"]),
    )
