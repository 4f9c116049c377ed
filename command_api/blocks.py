"""Block a conversation and take the block back: per user, idempotent, told with the time it first happened.

What is so already is written once more, with its first time: something that undoes it may be under way, here or on
another edge, and must come before what was answered last.
"""

from typing import NamedTuple

from command_api.conversations import Conversations
from infra.edge import Edge
from schemas.events import ConversationBlocked, ConversationUnblocked
from schemas.ids import Position
from schemas.times import Time


class BlockChanged(NamedTuple):
    """When the block in force began, or when it was taken back."""

    at: Time
    position: Position


class Blocks:
    """The commands `block` and `unblock`."""

    def __init__(self, edge: Edge, conversations: Conversations) -> None:
        self._conversations = conversations
        self._appender = edge.appender
        self._clock = edge.clock

    async def block(self, user_id: int, conversation_id: int) -> BlockChanged:
        """Stop the conversation for both; when this user blocks it already, say since when."""
        known = await self._conversations.get(conversation_id)
        with known:
            member = known.member(user_id)
            if member.blocks:  # or not any more, and this edge has not seen it
                await self._conversations.reach_end(known.partition)
            event = ConversationBlocked(
                conversation_id=conversation_id,
                user_id=user_id,
                other_user_id=known.conversation.other(user_id).user_id,
                blocked_at=(member.blocked_at if member.blocks else None) or self._clock.now_text(),
            )
            position = (await self._appender.append_and_observe(event)).position
            return BlockChanged(known.member(user_id).blocked_at or event.blocked_at, position)

    async def unblock(self, user_id: int, conversation_id: int) -> BlockChanged:
        """Take this user's own block back; when there is none in force, say since when."""
        known = await self._conversations.get(conversation_id)
        with known:
            member = known.member(user_id)
            if member.unblocked_at is not None:
                await self._conversations.reach_end(known.partition)
            event = ConversationUnblocked(
                conversation_id=conversation_id,
                user_id=user_id,
                other_user_id=known.conversation.other(user_id).user_id,
                unblocked_at=member.unblocked_at or self._clock.now_text(),
            )
            position = (await self._appender.append_and_observe(event)).position
            return BlockChanged(known.member(user_id).unblocked_at or event.unblocked_at, position)
