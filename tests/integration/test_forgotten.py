"""What an edge has forgotten and the read tables do not have yet is not guessed: it is asked for again."""

import asyncio

import pytest

from command_api.claims import Sent
from command_api.deliver import Deliver, outcome
from command_api.reads import ReadMarked
from command_api.service import WriteSide
from infra import tail
from infra.settings import Settings
from schemas.errors import Unavailable
from tests.support.write_sides import open_conversation, send, serving_tables, stored, worker, write_side

REMEMBERED = 4


async def mark(side: WriteSide, user_id: int, message: Sent) -> ReadMarked:
    async def command(deliver: Deliver[ReadMarked]) -> None:
        await side.reads.mark(user_id, message.message_id, deliver)

    return await outcome(command)


async def test_a_retry_of_a_forgotten_message_makes_no_second_one_while_the_tables_stand_still(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a read is not told another time than its own."""
    monkeypatch.setattr(tail, "REMEMBERED", REMEMBERED)
    monkeypatch.setattr(tail, "LEAST_REMEMBERED", REMEMBERED)
    async with write_side(settings) as side:
        async with worker(settings):
            await serving_tables(side)
            conversation = await open_conversation(side, 1, 2)
            before = await send(side, conversation, 1, "before")
            await stored(side)
        first = await send(side, conversation, 1, "hello", "the same")
        first_read = await mark(side, 2, before)
        last = first
        for number in range(2 * REMEMBERED):
            last = await send(side, conversation, 1, f"message {number}")
        for _ in range(2 * REMEMBERED):
            await mark(side, 2, last)
            last = await send(side, conversation, 1, "more")
        for again in (send(side, conversation, 1, "hello", "the same"), mark(side, 2, before)):
            with pytest.raises(Unavailable, match="too far behind"):
                await again
        async with worker(settings):
            await stored(side)
            assert await send(side, conversation, 1, "hello", "the same") == first
            assert (await mark(side, 2, before)).read_at == first_read.read_at
            assert (await asyncio.wait_for(send(side, conversation, 1, "new", "another"), 10)).seq == last.seq + 1
