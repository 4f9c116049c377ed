"""projections/generations.py on real servers: what is promoted, rolled back to, dropped, and left to other releases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from infra.settings import Settings
from projections import dropping, generations, promotion, worker
from projections.database import Away, Session, one_transaction
from projections.log import Log
from projections.rebuild import _begin, _begun
from projections.refusal import Refusal
from projections.worker import Feeds
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS
from tests.projecting import run_sql, states, until

OF_ANOTHER_RELEASE = pytest.mark.parametrize(
    "changed", ["shape = 'another'", "reads = reads || 'chat.conversation.pinned.v1'::text"], ids=["tables", "events"]
)


@pytest.fixture
async def two_generations(settings: Settings) -> Settings:
    """One is live and stands at 10, another is complete and stands at 9, both in one partition alone."""
    begins = {Partition(CONVERSATIONS, 0): 0}
    found = Log("an epoch", begins, begins)
    await generations.join(settings.database(), found)
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.create(session, 2, found, state="building", complete=True)
    await run_sql(settings, "UPDATE chat_g1.positions SET next_offset = 10")
    await run_sql(settings, "UPDATE chat_g2.positions SET next_offset = 9")
    return settings


async def give_the_number_again(settings: Settings) -> None:
    begins = {Partition(CONVERSATIONS, 0): 3}
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.create(session, 2, Log("an epoch", begins, begins), state="building", complete=False)


def when_off_the_list(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Awaitable[None]]) -> None:
    """Have something happen between the two transactions of a drop."""
    times = iter(range(2))

    @asynccontextmanager
    async def transaction(url: str, schema: str) -> AsyncIterator[Session]:
        if next(times):
            await do()
        async with one_transaction(url, schema) as session:
            yield session

    monkeypatch.setattr(dropping, "one_transaction", transaction)


async def test_what_a_drop_left_that_was_cut_short_is_in_nobodys_way(
    two_generations: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut() -> None:
        raise Away("cut")

    when_off_the_list(monkeypatch, cut)
    with pytest.raises(Away):
        await dropping.drop(two_generations, 2)
    assert await states(two_generations) == {1: "live"}
    await give_the_number_again(two_generations)
    assert [row[0] for row in await run_sql(two_generations, "SELECT next_offset FROM chat_g2.positions")] == [3]


async def test_a_drop_that_is_late_leaves_the_one_alone_that_has_the_number_now(
    two_generations: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    when_off_the_list(monkeypatch, partial(give_the_number_again, two_generations))
    await dropping.drop(two_generations, 2)
    assert await states(two_generations) == {1: "live", 2: "building"}
    assert [row[0] for row in await run_sql(two_generations, "SELECT next_offset FROM chat_g2.positions")] == [3]


async def test_tables_that_are_behind_are_not_promoted(two_generations: Settings) -> None:
    with pytest.raises(Refusal, match="generation 2 is behind the live one"):
        await promotion.promote(two_generations, 2, within=1)
    assert await states(two_generations) == {1: "live", 2: "building"}
    await run_sql(two_generations, "UPDATE chat_g2.positions SET next_offset = 10")
    await promotion.promote(two_generations, 2, within=1)
    assert await states(two_generations) == {1: "retired", 2: "live"}


async def test_a_roll_back_goes_to_the_one_that_was_live_before(two_generations: Settings) -> None:
    async with one_transaction(two_generations.database(), generations.CONTROL) as session:
        begins = {Partition(CONVERSATIONS, 0): 0}
        await generations.create(session, 3, Log("an epoch", begins, begins), state="building", complete=True)
    for number in (2, 3):
        await run_sql(two_generations, f"UPDATE chat_g{number}.positions SET next_offset = 10")
    for number in (2, 3, 1, 2):
        await promotion.promote(two_generations, number, within=1)
    for number in (1, 2):
        assert await promotion.roll_back(two_generations, within=1) == number
        assert (await states(two_generations))[number] == "live"


async def test_the_live_tables_wait_while_others_draw_level(
    two_generations: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "HOLD_SECONDS", 10)
    promoting = asyncio.ensure_future(promotion.promote(two_generations, 2, within=20))
    await until(two_generations, "SELECT FROM pg_locks WHERE relation = 'chat_g1.positions'::regclass")
    written = asyncio.ensure_future(run_sql(two_generations, "UPDATE chat_g1.positions SET next_offset = 11"))
    await asyncio.wait({written}, timeout=0.5)
    assert not written.done()
    await run_sql(two_generations, "UPDATE chat_g2.positions SET next_offset = 10")
    await promoting
    await written
    assert await states(two_generations) == {1: "retired", 2: "live"}


@OF_ANOTHER_RELEASE
async def test_where_nothing_is_live_and_all_is_another_releases_a_worker_says_so(
    settings: Settings, changed: str
) -> None:
    begins = {Partition(CONVERSATIONS, 0): 0}
    await generations.join(settings.database(), Log("an epoch", begins, {Partition(CONVERSATIONS, 0): 5}))
    await run_sql(settings, f"UPDATE chat.generations SET {changed}")
    feeds = Feeds(settings, None, "an epoch")
    with pytest.raises(Refusal, match="chat generations drop 1"):
        await feeds._look()
    await feeds.close()


@OF_ANOTHER_RELEASE
async def test_a_worker_that_has_nothing_to_feed_says_so_once(
    two_generations: Settings, changed: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_sql(two_generations, f"UPDATE chat.generations SET {changed}")
    feeds = Feeds(two_generations, None, "an epoch")
    for _ in range(2):
        await feeds._look()
    await feeds.close()
    told = [record.getMessage() for record in caplog.records if record.name == worker.__name__]
    assert told == [
        *(f"generation {n} has tables or events of another release, whose workers feed it" for n in (1, 2)),
        "this worker feeds nothing: the order of a roll-out is in docs/operating.md",
    ]


@OF_ANOTHER_RELEASE
async def test_what_another_release_has_begun_is_not_gone_on_with(two_generations: Settings, changed: str) -> None:
    await run_sql(two_generations, f"UPDATE chat.generations SET {changed} WHERE id = 2")
    begins = {Partition(CONVERSATIONS, 0): 0}
    with pytest.raises(Refusal, match="chat generations drop 2"):
        await _begin(two_generations, Log("an epoch", begins, begins))
    with pytest.raises(Refusal, match="nothing is being built"):
        await _begun(two_generations)
    await dropping.drop(two_generations, 2)
    _, new = await _begin(two_generations, Log("an epoch", begins, begins))
    assert (new.id, new.fits, await _begun(two_generations)) == (2, True, new)
