"""Edges on a real log: what one decides, all others and an independent reader decide too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import pytest

from command_api.blocks import BlockChanged
from command_api.claims import Sent
from command_api.deliver import outcome
from command_api.service import WriteSide
from infra.memory import Entry
from infra.settings import Settings
from infra.tail import Stage
from schemas.errors import ChatError, Code, Unavailable
from schemas.events import ConversationBlocked, MessageSent
from schemas.ids import BLOCK_SIZE, Partition
from schemas.requests import FileReport, OpenConversation
from schemas.topics import CONVERSATIONS
from tests.support.write_sides import open_conversation, send, serving_tables, worker, write_side

ROUNDS = 30


@pytest.fixture(scope="module")
async def sides(module_settings: Settings) -> AsyncIterator[tuple[WriteSide, WriteSide]]:
    """Two edges and a worker."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(write_side(module_settings, "edge-1"))
        second = await stack.enter_async_context(write_side(module_settings, "edge-2"))
        await stack.enter_async_context(worker(module_settings))
        await serving_tables(first)
        await serving_tables(second)
        yield first, second


def counted_messages(side: WriteSide, seen: list[Entry]) -> None:
    """Collect what the tail of this edge counts, as anybody who reads the topic would."""

    def follower(entry: Entry) -> None:
        if entry.counted and isinstance(entry.event, MessageSent):
            seen.append(entry)

    side.edge.tail.follow(Stage.PUSH, follower)


async def test_openings_of_one_pair_in_the_same_instant_give_one_conversation(
    sides: tuple[WriteSide, WriteSide],
) -> None:
    for number in range(ROUNDS):
        user, other = 1_000 + 2 * number, 1_001 + 2 * number
        mine, theirs = await asyncio.gather(
            sides[0].openings.open(OpenConversation(user_id=user, other_user_id=other)),
            sides[1].openings.open(OpenConversation(user_id=other, other_user_id=user)),
        )
        assert mine.known.conversation.id == theirs.known.conversation.id
        assert [opened.entry is not None for opened in (mine, theirs)].count(True) == 1


async def test_retries_in_the_same_instant_on_two_edges_are_told_one_message(
    sides: tuple[WriteSide, WriteSide],
) -> None:
    seen: list[Entry] = []
    counted_messages(sides[0], seen)
    conversation = await open_conversation(sides[0], 1, 2)
    for number in range(ROUNDS):
        first, *others = await asyncio.gather(
            *(send(side, conversation, 1, "the same", f"retry-{number}") for side in (*sides, *sides))
        )
        assert set(others) == {first}
    counted = [
        entry.judgement.seq
        for entry in seen
        if isinstance(entry.event, MessageSent) and entry.event.conversation_id == conversation
    ]
    assert counted == list(range(1, ROUNDS + 1))


async def test_another_body_under_a_used_client_id_is_a_conflict_on_every_edge(
    sides: tuple[WriteSide, WriteSide],
) -> None:
    conversation = await open_conversation(sides[0], 3, 4)
    await send(sides[0], conversation, 3, "one", "used")
    for side in sides:
        with pytest.raises(ChatError) as refused:
            await send(side, conversation, 3, "another", "used")
        assert refused.value.code is Code.CLIENT_ID_CONFLICT
    assert (await send(sides[1], conversation, 4, "another", "used")).seq == 2


async def test_a_block_against_a_send_in_the_same_instant_is_answered_as_the_log_says(
    sides: tuple[WriteSide, WriteSide],
) -> None:
    seen: list[Entry] = []
    counted_messages(sides[1], seen)
    conversation = await open_conversation(sides[0], 5, 6)
    answered = []
    for number in range(ROUNDS):
        blocked, sent = await asyncio.gather(
            sides[number % 2].blocks.block(6, conversation),
            send(sides[1 - number % 2], conversation, 5, f"round {number}"),
            return_exceptions=True,
        )
        assert not isinstance(blocked, BaseException)
        assert isinstance(sent, Sent) or (isinstance(sent, ChatError) and sent.code is Code.CONVERSATION_BLOCKED)
        if isinstance(sent, Sent):
            answered.append(sent.message_id)
        await sides[number % 2].blocks.unblock(6, conversation)
        # The other edge answers only when it has read that far, too.
        await send(sides[1 - number % 2], conversation, 6, f"after {number}")
    of_the_sender = [
        entry.event.message_id
        for entry in seen
        if isinstance(entry.event, MessageSent)
        and entry.event.conversation_id == conversation
        and entry.event.sender_id == 5
    ]
    assert of_the_sender == answered


async def both_in_line(
    side: WriteSide, conversation: int, first: Awaitable[BlockChanged], second: Awaitable[BlockChanged]
) -> list[BlockChanged]:
    """Run two commands, the second before anything of the first is in the log."""
    writer, partition = side.edge._writer, (await side.conversations.get(conversation)).partition
    async with asyncio.timeout(10):
        async with writer._turns[writer._producer.leader(partition)]:
            under_way = []
            for number, command in enumerate((first, second), 1):
                under_way.append(asyncio.ensure_future(command))
                while len(writer._lines[partition]) < number:
                    await asyncio.sleep(0)
        return await asyncio.gather(*under_way)


async def test_what_is_answered_last_holds_whatever_was_under_way(sides: tuple[WriteSide, WriteSide]) -> None:
    """A block that is in force already stands behind the end of it that is in line, and the other way round."""
    blocks = sides[0].blocks
    conversation = await open_conversation(sides[0], 15, 16)
    first = await blocks.block(15, conversation)
    _, again = await both_in_line(
        sides[0], conversation, blocks.unblock(15, conversation), blocks.block(15, conversation)
    )
    assert again.at == first.at
    for side in sides:
        with pytest.raises(ChatError) as refused:
            await send(side, conversation, 16, "too late")
        assert refused.value.code is Code.CONVERSATION_BLOCKED
    unblocked = await blocks.unblock(15, conversation)
    _, again = await both_in_line(
        sides[0], conversation, blocks.block(15, conversation), blocks.unblock(15, conversation)
    )
    assert again.at == unblocked.at
    assert (await send(sides[1], conversation, 16, "at last")).seq == 1


async def test_no_edge_dates_a_block_by_one_that_has_ended(sides: tuple[WriteSide, WriteSide]) -> None:
    """The other edge has often not seen the end yet, nor the beginning."""
    conversation = await open_conversation(sides[0], 21, 22)
    await sides[1].blocks.unblock(21, conversation)
    for number in range(ROUNDS):
        first, other = (side.blocks for side in (sides if number % 2 else sides[::-1]))
        blocked = await first.block(21, conversation)
        unblocked = await first.unblock(21, conversation)
        again = await other.block(21, conversation)
        ended = await other.unblock(21, conversation)
        assert blocked.at < again.at
        assert unblocked.at < ended.at


async def test_a_retry_of_a_report_that_is_under_way_is_not_one_more_of_the_day(
    sides: tuple[WriteSide, WriteSide], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides[0].limits.reports, "_limit", 1)
    conversation = await open_conversation(sides[0], 17, 18)
    report = FileReport(report_type="spam", reason="x", client_id="r")
    filed = await asyncio.gather(*(sides[0].reports.file(17, conversation, report) for _ in range(3)))
    assert len({one.report_id for one in filed}) == 1
    with pytest.raises(ChatError) as refused:
        await sides[0].reports.file(17, conversation, FileReport(report_type="spam", reason="x", client_id="s"))
    assert refused.value.code is Code.RATE_LIMITED


async def test_reads_of_one_message_in_the_same_instant_on_two_edges_are_told_the_first_time(
    sides: tuple[WriteSide, WriteSide],
) -> None:
    conversation = await open_conversation(sides[0], 9, 10)
    for number in range(ROUNDS):
        earlier = await send(sides[0], conversation, 9, f"earlier {number}")
        message = await send(sides[1], conversation, 9, f"later {number}")
        # The later one covers the earlier one, whose read may come after it.
        marked = await asyncio.gather(
            *(
                outcome(partial(side.reads.mark, 10, one.message_id))
                for side in sides
                for one in (message, earlier, message)
            )
        )
        for one in (earlier, message):
            told = [answer.read_at for answer in marked if answer.message_id == one.message_id]
            again = [await outcome(partial(side.reads.mark, 10, one.message_id)) for side in sides]
            assert {*told, *(answer.read_at for answer in again)} == {told[0]}


async def test_many_reads_of_one_message_at_once_are_one_record(sides: tuple[WriteSide, WriteSide]) -> None:
    conversation = await open_conversation(sides[0], 19, 20)
    earlier = await send(sides[0], conversation, 19, "earlier")
    message = await send(sides[0], conversation, 19, "read at once")
    positions = sides[0].edge.tail.positions
    partition = Partition(CONVERSATIONS, message.position.partition)
    before = positions[partition]
    mark = sides[0].reads.mark
    marked = await asyncio.gather(
        *(outcome(partial(mark, 20, one.message_id)) for one in [message, *[earlier, message] * 50])
    )
    assert len({answer.read_at for answer in marked}) == 1
    assert {answer.message_id for answer in marked} == {earlier.message_id, message.message_id}
    assert positions[partition] == before + 1


async def test_an_edge_that_starts_later_knows_what_was_sent_before(
    sides: tuple[WriteSide, WriteSide], module_settings: Settings
) -> None:
    conversation = await open_conversation(sides[0], 7, 8)
    sent = await send(sides[0], conversation, 7, "before", "old")
    async with write_side(module_settings, "edge-3") as late:
        await serving_tables(late)
        assert await send(late, conversation, 7, "before", "old") == sent
        assert (await send(late, conversation, 8, "after")).seq == 2


async def test_ids_are_given_out_once_whoever_leases_them(sides: tuple[WriteSide, WriteSide]) -> None:
    taken = []
    for _ in range(2 * BLOCK_SIZE):
        for side in sides:
            await side.ids.ready()
            taken.append(side.ids.take())
    assert len(set(taken)) == len(taken)


@asynccontextmanager
async def generation_said(settings: Settings, side: WriteSide, column: str, value: object) -> AsyncIterator[None]:
    """Have the list of generations say something else, as this edge knows it, until the block ends."""
    connection = await asyncpg.connect(settings.database())
    try:
        before = await connection.fetchval(f"SELECT {column} FROM chat.generations")
        await connection.execute(f"UPDATE chat.generations SET {column} = $1", value)
        await side.edge.tables.live.refresh()
        try:
            yield
        finally:
            await connection.execute(f"UPDATE chat.generations SET {column} = $1", before)
            await side.edge.tables.live.refresh()
    finally:
        await connection.close()


async def test_an_edge_writes_only_what_the_live_generation_reads(
    sides: tuple[WriteSide, WriteSide], module_settings: Settings
) -> None:
    conversation = await open_conversation(sides[0], 9_091, 9_092)
    async with generation_said(module_settings, sides[0], "reads", [ConversationBlocked.type]):
        with pytest.raises(Unavailable, match=r"the read tables do not read chat\.message\.sent\.v1 yet"):
            await send(sides[0], conversation, 9_091, "too new")
        await sides[0].blocks.block(9_091, conversation)
    await sides[0].blocks.unblock(9_091, conversation)
    assert (await send(sides[0], conversation, 9_091, "hello")).seq == 1


async def test_tables_of_another_log_are_as_good_as_none(
    sides: tuple[WriteSide, WriteSide], module_settings: Settings
) -> None:
    async with generation_said(module_settings, sides[0], "epoch", "another"):
        with pytest.raises(Unavailable, match="the read tables are not built yet"):
            await sides[0].edge.tables.positions()
    assert await sides[0].edge.tables.positions()


async def test_what_nobody_has_sent_is_not_found(sides: tuple[WriteSide, WriteSide]) -> None:
    with pytest.raises(ChatError) as refused:
        await outcome(partial(sides[0].reads.mark, 1, 999_999_999))
    assert refused.value.code is Code.MESSAGE_NOT_FOUND
    with pytest.raises(ChatError) as refused:
        await send(sides[0], 999_999_999, 1, "hello")
    assert refused.value.code is Code.CONVERSATION_NOT_FOUND
