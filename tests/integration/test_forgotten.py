"""What an edge has forgotten and the read tables do not have yet is not guessed: it is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from command_api import conversations, loads
from command_api.claims import Sent
from command_api.deliver import Deliver, outcome
from command_api.reads import ReadMarked
from command_api.service import WriteSide
from infra import tail
from infra.settings import Settings
from schemas.errors import Unavailable
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS
from tests.support.write_sides import (
    eventually,
    open_conversation,
    reading,
    send,
    serving_tables,
    stored,
    worker,
    write_side,
)

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


@pytest.fixture
async def later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[WriteSide, WriteSide]]:
    """Two edges; to the second one conversations are too long for all their client_ids."""
    async with write_side(settings, "edge-1") as first, worker(settings), write_side(settings, "edge-2") as second:
        await serving_tables(first)
        await serving_tables(second)
        monkeypatch.setattr(loads, "MOST_CLIENT_IDS", 0)
        monkeypatch.setattr(conversations, "MOST_LEARNED", 0)
        yield first, second


async def test_a_retry_of_what_the_tables_had_before_they_were_restored_makes_no_second_one(
    settings: Settings, later: tuple[WriteSide, WriteSide]
) -> None:
    first, second = later
    conversation = await open_conversation(first, 1, 2)
    sent = await send(first, conversation, 1, "hello", "the same")
    await stored(first)
    second.conversations._kept.drop()
    assert not (await second.conversations.get(conversation)).complete
    connection = await asyncpg.connect(settings.database())
    schema = second.edge.tables.live.schema
    await connection.execute(f"DELETE FROM {schema}.messages")
    await connection.execute(
        f"UPDATE {schema}.positions SET next_offset = $1 WHERE topic = 'chat.conversations' AND partition = $2",
        sent.position.offset,
        sent.position.partition,
    )
    await connection.close()
    assert await send(second, conversation, 1, "hello", "the same") == sent


async def test_an_answer_from_the_tables_is_not_told_before_all_that_lies_before_it(
    later: tuple[WriteSide, WriteSide], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = later
    conversation = await open_conversation(first, 1, 2)
    await send(first, conversation, 1, "before")
    await stored(first)
    second.conversations._kept.drop()
    assert not (await second.conversations.get(conversation)).complete
    goes_on = reading(second, monkeypatch)
    last = (await send(first, conversation, 1, "the last that it reads")).position
    assert await second.edge.tail.passed({Partition(CONVERSATIONS, last.partition): last.offset + 1}, 10)
    goes_on.clear()
    sent = await send(first, conversation, 1, "hello", "the same")
    await stored(first)
    with pytest.raises(Unavailable, match="behind"):
        await send(second, conversation, 1, "hello", "the same")
    goes_on.set()
    assert await send(second, conversation, 1, "hello", "the same") == sent


@pytest.mark.parametrize("room", [True, False])
async def test_a_long_conversation_learns_its_client_ids_when_it_is_loaded_or_was_asked_about(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    """Also those of messages that the tables do not have yet."""
    monkeypatch.setattr(loads, "MOST_CLIENT_IDS", 0)
    async with write_side(settings) as side:
        kept, asked = side.conversations._kept, []
        claimed = side.conversations._loads.claimed

        async def counted(*what: Any) -> Any:
            asked.append(what)
            return await claimed(*what)

        monkeypatch.setattr(side.conversations._loads, "claimed", counted)
        async with worker(settings):
            await serving_tables(side)
            conversation = await open_conversation(side, 1, 2)
            sent = [await send(side, conversation, 1, "stored", "stored")]
            await stored(side)
        sent.append(await send(side, conversation, 2, "only in the log", "only in the log"))
        kept.drop()
        monkeypatch.setattr(kept, "has_room", lambda _: room)
        known = await side.conversations.get(conversation)
        if not room:
            await asyncio.sleep(0.2)
            assert not known.complete
            sent.append(await send(side, conversation, 1, "asked about", "third"))
            assert len(asked) == 1

        async def complete() -> bool:
            return known.complete

        await eventually(complete)
        sent.append(await send(side, conversation, 1, "not asked about", "fourth"))
        assert len(asked) == (0 if room else 1)
        assert await send(side, conversation, 2, "only in the log", "only in the log") == sent[1]
        assert await send(side, conversation, 1, "stored", "stored") == sent[0]
        assert len(known.client_ids) == kept._client_ids == len(sent)


async def test_what_was_forgotten_while_a_send_was_looking_is_not_counted_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "REMEMBERED", REMEMBERED)
    monkeypatch.setattr(tail, "LEAST_REMEMBERED", REMEMBERED)
    async with write_side(settings) as side, worker(settings):
        await serving_tables(side)
        conversation = await open_conversation(side, 1, 2)
        ready, waits = side.messages._ids.ready, asyncio.Event()

        async def slowly() -> None:
            await ready()
            await waits.wait()

        monkeypatch.setattr(side.messages._ids, "ready", slowly)
        late = asyncio.create_task(send(side, conversation, 1, "hello", "the same"))
        await asyncio.sleep(0.2)
        monkeypatch.setattr(side.messages._ids, "ready", ready)
        first = await send(side, conversation, 1, "hello", "the same")
        for number in range(2 * REMEMBERED):
            await send(side, conversation, 1, f"message {number}")
        waits.set()
        with pytest.raises(Unavailable, match="too far behind"):
            await late
        await stored(side)
        assert await send(side, conversation, 1, "hello", "the same") == first
