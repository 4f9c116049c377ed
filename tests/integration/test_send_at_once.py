"""A message is sent at once unless something has to be waited for: then nothing is done, and `send` does it."""

import asyncio
from typing import Any

import pytest

from command_api.claims import Sent
from command_api.service import WriteSide
from infra.settings import Settings
from schemas.errors import ChatError, Code
from schemas.ids import Partition
from schemas.requests import SendMessage
from schemas.topics import CONVERSATIONS
from tests.support.write_sides import open_conversation, reading, send, serving_tables, worker, write_side


def at_once(side: WriteSide, conversation: int, client_id: str | None = "new") -> "asyncio.Future[Sent] | None":
    """Return the outcome to come, or None if it is not sent at once."""
    sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    request = SendMessage(conversation_id=conversation, user_id=1, content="hello", client_id=client_id)
    return sent if side.messages.send_at_once(request, sent.set_result) else None


async def test_it_is_sent_at_once_unless_something_has_to_be_looked_up_or_waited_for(settings: Settings) -> None:
    async with write_side(settings) as side, worker(settings):
        await serving_tables(side)
        conversation, others = await open_conversation(side, 1, 2), await open_conversation(side, 2, 3)
        first = await send(side, conversation, 1, "hello", "used")
        for client_id in ("new", None):
            sent = at_once(side, conversation, client_id)
            assert sent is not None
            assert (await sent).seq == first.seq + (1 if client_id else 2)
        assert at_once(side, conversation, "used") is None
        with pytest.raises(ChatError) as refused:
            at_once(side, others)
        assert refused.value.code == Code.FORBIDDEN
        while side.ids.at_hand:
            side.ids.take()
        assert at_once(side, conversation) is None
        await side.ids.ready()
        side.conversations.kept(conversation).complete = False  # type: ignore[union-attr]
        assert at_once(side, conversation) is None
        side.conversations._kept.drop()
        assert at_once(side, conversation) is None


async def test_a_block_that_was_taken_back_at_an_edge_further_ahead_refuses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with write_side(settings, "edge-1") as first, worker(settings), write_side(settings, "edge-2") as second:
        await serving_tables(first)
        await serving_tables(second)
        conversation = await open_conversation(first, 1, 2)
        partition = Partition(CONVERSATIONS, (await send(first, conversation, 1, "hello")).position.partition)
        goes_on = reading(second, monkeypatch)
        blocked = await first.blocks.block(2, conversation)
        assert await second.edge.tail.passed({partition: blocked.position.offset + 1}, 10)
        await second.ids.ready()
        goes_on.clear()
        await first.blocks.unblock(2, conversation)
        assert at_once(second, conversation) is None
        sending = asyncio.ensure_future(send(second, conversation, 1, "hello again"))
        await asyncio.sleep(0.1)
        assert not sending.done()
        goes_on.set()
        assert (await sending).seq == 2
