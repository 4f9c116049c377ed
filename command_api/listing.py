"""A conversation as one of its users sees it in a list: a row of the read tables, as an answer."""

from typing import Any

from infra.edge import Edge
from schemas.answers import ListedConversation
from schemas.conversation import Conversation
from schemas.errors import Unavailable
from schemas.ids import Partition
from schemas.times import write_time

PATIENCE_SECONDS = 2.0
"""How long is waited until a list has what the log had when it was asked."""

_ROW = "SELECT * FROM {schema}.conversation_list WHERE user_id = $1 AND id = $2"
_PROFILE = "SELECT name, photo FROM {schema}.users WHERE id = $1"


class Listing:
    """Looks conversations up for those who have just opened them."""

    def __init__(self, edge: Edge) -> None:
        self._tables = edge.tables
        self._tail = edge.tail

    async def opened(self, conversation: Conversation, user_id: int) -> ListedConversation:
        """Return a conversation as it was when it was opened."""
        other_user_id = conversation.other(user_id).user_id
        profile = await self._tables.fetchrow(_PROFILE, other_user_id)
        return ListedConversation(
            id=conversation.id,
            user_id=user_id,
            other_user_id=other_user_id,
            other_user_name=profile["name"] if profile else None,
            other_user_photo=profile["photo"] if profile else None,
            last_message=None,
            last_message_sender=None,
            unread_count=0,
            updated_at=conversation.opened_at,
            created_at=conversation.opened_at,
        )

    async def found(self, conversation_id: int, partition: Partition, user_id: int) -> ListedConversation:
        """Return a conversation that was there, as of now where the tables keep up; Unavailable before they have it."""
        await self._tables.passed({partition: self._tail.positions[partition]}, PATIENCE_SECONDS)
        row = await self._tables.fetchrow(_ROW, user_id, conversation_id)
        if row is None:
            raise Unavailable("the read tables are behind the log")
        return listed(row)


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
