"""From empty tables to complete ones that are known to equal the live ones at the same positions.

The steps of a rebuild (rebuild.py) in the order of their use. They look at the tables and say what the lanes may do;
the lanes fill.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from infra.settings import Settings
from projections import digests, filling, log, promotion
from projections.database import Database, Session
from projections.digests import Compared, Difference, Digest
from projections.generations import Generation
from projections.refusal import GaveUp, Refusal
from projections.tables import positions
from projections.tables.positions import Stored
from schemas import topics
from schemas.ids import Partition

LOOK_SECONDS = 0.25
LEVEL_SECONDS = 120.0
COMPACTED_SECONDS = 5.0

NEAR = 20_000
"""Records behind the live tables at which the filling goes on to a fixed end, to be compared there."""

Ends = Mapping[Partition, int]


class Stage(NamedTuple):
    """How far it is: what is being done, and how many records of how many are in the new tables.

    `stays`: it is a finding, to be read when all is done.
    """

    doing: str
    done: int = 1
    total: int = 1
    stays: bool = False


class Options(NamedTuple):
    """What to do about what a rebuild finds."""

    accept_dead_letters: bool = False
    accept_differences: bool = False


class Build:
    """The steps from empty tables to complete ones that are known to equal the live ones."""

    def __init__(
        self,
        settings: Settings,
        of_live: Database,
        of_new: Database,
        new: Generation,
        options: Options,
        tell: Callable[[Stage], None],
    ) -> None:
        self._settings = settings
        self._of_live = of_live
        self._of_new = of_new
        self._new = new
        self._options = options
        self._tell = tell

    async def fill(self) -> None:
        """Wait until the new tables are nearly where the live ones are, or may not go on."""
        while True:
            if await self._behind("filling", await self._ends()) <= NEAR:
                return
            await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[Session]:
        """Yield the live tables as they are when first looked at, no partition of them behind the new ones."""
        async with self._of_new.transaction() as session:
            # The fillers may be ahead where live workers lag: let them wait.
            await session.execute("UPDATE {schema}.positions SET until = next_offset")
            stand = await promotion.ends_of(session)
        await self._wait_for_live(stand)
        async with self._of_live.session() as live, live.transaction(frozen=True):
            yield live

    async def fill_until_there(self, live: Session) -> None:
        """Have the new tables filled to exactly where the live ones are."""
        stand = await positions.load(live)
        ends = {partition: stored.next_offset for partition, stored in stand.items()}
        async with self._of_new.transaction() as session:
            await stop_at(session, ends)
        before, still_since = -1, asyncio.get_running_loop().time()
        while behind := await self._behind("filling to where the live tables were", ends):
            now = asyncio.get_running_loop().time()
            if behind != before:
                before, still_since = behind, now
            elif now - still_since > LEVEL_SECONDS:
                raise GaveUp(f"nothing was filled for {LEVEL_SECONDS:.0f} s, with {behind} records to go")
            elif now - still_since > COMPACTED_SECONDS:
                await self._pass_over_what_was_compacted(stand)
            await asyncio.sleep(LOOK_SECONDS)

    async def complete(self, live: Session) -> None:
        """Make what was left for the end, compare, and have the workers take over."""
        async with self._of_new.transaction() as session:
            self._tell(Stage("making indexes"))
            tables = await digests.shared(live, session)
            of_live = await _finish_and_digest(session, live, tables)
            self._tell(Stage("comparing"))
            differences = await digests.compare(live, of_live, session, await digests.digest(session, tables))
            if differences:
                self._accept(differences)
            await filling.set_complete(session, self._new)

    def _accept(self, differences: Sequence[Difference]) -> None:
        """Tell how the tables differ where that was said to be right, and refuse it where it was not."""
        shown = "\n  ".join(str(difference) for difference in differences)
        what = f"generation {self._new.id} differs from the live one at the same positions:\n  {shown}"
        if not self._options.accept_differences:
            raise Refusal(
                f"{what}\nIf that is what the new code is for: chat rebuild --accept-differences. "
                f"If not: chat generations drop {self._new.id}"
            )
        self._tell(Stage(what, stays=True))

    async def _wait_for_live(self, stand: Ends) -> None:
        give_up_at = asyncio.get_running_loop().time() + LEVEL_SECONDS
        while True:
            if all(at >= stand[partition] for partition, at in (await self._ends()).items()):
                return
            if asyncio.get_running_loop().time() > give_up_at:
                raise GaveUp("the live tables stay behind; is a worker running?")
            await asyncio.sleep(LOOK_SECONDS)

    async def _ends(self) -> Ends:
        async with self._of_live.session() as session:
            return await promotion.ends_of(session)

    async def _behind(self, doing: str, ends: Ends) -> int:
        async with self._of_new.session() as session:
            stored = await positions.load(session)
            if not self._options.accept_dead_letters:
                await self._refuse_new_dead_letters(session)
        untils = {partition: one.until for partition, one in stored.items() if one.until is not None}
        ends = {partition: min(end, untils.get(partition, end)) for partition, end in ends.items()}
        behind, total = promotion.behind(stored, ends), sum(ends.values())
        self._tell(Stage(doing, total - behind, total))
        return behind

    async def _refuse_new_dead_letters(self, session: Session) -> None:
        live = self._of_live.schema
        found = await session.fetch(
            f"""
            SELECT new.topic, new.partition, new.record_offset, new.reason FROM {{schema}}.dead_letters AS new
            JOIN {live}.positions AS p USING (topic, partition)
            WHERE p.next_offset > new.record_offset AND NOT EXISTS (
                SELECT FROM {live}.dead_letters AS old
                WHERE (old.topic, old.partition, old.record_offset) = (new.topic, new.partition, new.record_offset)
            )
            LIMIT 5
            """  # noqa: S608 - a schema's name comes from our own table
        )
        if found:
            shown = "".join(f"\n  {row[0]} {row[1]} offset {row[2]}: {row[3]}" for row in found)
            if not await filling.has_late_indexes(session):
                # A record that only an index refuses was counted here, and what follows from it may be wrong.
                raise filling.NotUnique("new dead letters")
            raise Refusal(
                f"records that the live tables hold cannot be applied any more:{shown}\n"
                f"If that is what the new code is for: chat rebuild --accept-dead-letters. "
                f"If not: chat generations drop {self._new.id}, mend the code, and build again"
            )

    async def _pass_over_what_was_compacted(self, stand: Mapping[Partition, Stored]) -> None:
        """Move positions to where the live tables are, where the log has no record left before that.

        Asked of the log itself: that nothing was filled for a while may as well mean that a filler died.
        """
        async with self._of_new.session() as session:
            stored = await positions.load(session)
        late = {
            partition: stored[partition].next_offset
            for partition, there in stand.items()
            if topics.BY_NAME[partition.topic].compacted and stored[partition].next_offset < there.next_offset
        }
        if not late:
            return
        for partition, record in (await log.following(self._settings, late)).items():
            there = stand[partition]
            if record is None or record >= there.next_offset:
                place = (*partition, late[partition], there.next_offset, there.last_ce_id)
                async with self._of_new.transaction() as session:
                    await session.execute(positions.ADVANCE, *place)


async def stop_at(session: Session, ends: Ends) -> None:
    """Have the tables filled to these ends, and no further."""
    for partition, end in ends.items():
        await session.execute(positions.SET_UNTIL, *partition, end)


async def _finish_and_digest(new: Session, live: Session, tables: Sequence[Compared]) -> Digest:
    """Do both at once, on two connections, so that two processors are at work; neither goes on when one fails."""
    try:
        async with asyncio.TaskGroup() as both:
            of_live = both.create_task(digests.digest(live, tables))
            both.create_task(filling.finish(new))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return of_live.result()
