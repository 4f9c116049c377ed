"""Bring two users into conversation: one for each pair, whoever asks first."""

from typing import NamedTuple

from command_api.conversations import Conversations
from command_api.ids import Ids
from command_api.kept import Known
from infra.edge import Edge
from infra.memory import Entry
from schemas.errors import Unavailable, invalid
from schemas.events import AsOf, ConversationOpened
from schemas.ids import pair_key
from schemas.requests import OpenConversation
from schemas.topics import CONVERSATIONS

MOST_TRIES = 3


class Opened(NamedTuple):
    """The pair's conversation; `entry` is None when there was one already."""

    known: Known
    entry: Entry | None


class Openings:
    """The command `open`."""

    def __init__(self, edge: Edge, conversations: Conversations, ids: Ids) -> None:
        self._conversations = conversations
        self._ids = ids
        self._appender = edge.appender
        self._tail = edge.tail
        self._clock = edge.clock

    async def open(self, request: OpenConversation) -> Opened:
        """Return the conversation of the pair, opened unless it is there; the loser of a race gets the winner's."""
        if request.user_id == request.other_user_id:
            raise invalid("other_user_id", "must be another user")
        partition = self._appender.partition_of(
            CONVERSATIONS, pair_key(request.user_id, request.other_user_id).encode()
        )
        for _ in range(MOST_TRIES):
            as_of = AsOf(self._tail.positions[partition])  # what is looked up next is at least as new
            known = await self._conversations.of_pair(request.user_id, request.other_user_id)
            if known is not None:
                return Opened(known, None)
            await self._ids.ready()
            event = ConversationOpened(
                conversation_id=self._ids.take(),
                user_id=request.user_id,
                other_user_id=request.other_user_id,
                opened_at=self._clock.now_text(),
                as_of=as_of,
            )
            entry = await self._appender.append_and_observe(event)
            if entry.counted:
                return Opened(await self._conversations.get(event.conversation_id), entry)
        raise Unavailable("the pair could not be brought into conversation; try again")
