"""`chat rebuild`: a new generation, filled from the start of the log beside the live one, compared with it, promoted.

It can be interrupted at any time and goes on where it was: all it knows is in the tables. Filling is done by the lanes
of any worker (faust_worker.py), in the mode that the generation's positions say.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from infra.settings import Settings
from projections import dropping, faust_worker, filling, generations, log, promotion
from projections.build import LOOK_SECONDS, Build, Options, Stage, stop_at
from projections.database import Database, one_transaction
from projections.generations import Generation
from projections.refusal import Refusal
from projections.tables import positions

logger = logging.getLogger(__name__)

PROMOTE_SECONDS = 120.0
BEGIN_SECONDS = 10.0
BEGIN_LOOK_SECONDS = 0.02
HEARTBEAT_SECONDS = 0.1
"""So soon those who fill hear of one who comes to help; a short log is filled before usual heartbeats tell of him."""
_RUNNING = 0x63686175  # an advisory lock: one rebuild at a time leads


async def rebuild(settings: Settings, options: Options, tell: Callable[[Stage], None]) -> Generation:
    """Build, compare and promote a generation, and return it; Refusal says why not."""
    found = await log.look(settings)
    async with _alone(settings):
        live, new = await _begin(settings, found)
        try:
            await _build(settings, live, new, options, tell)
        except filling.NotUnique as why:
            logger.warning("building again with all indexes from the start, which is slower: %s", why)
            await dropping.drop(settings, new.id)
            live, new = await _begin(settings, found, late_indexes=True)
            await _build(settings, live, new, options, tell)
    return new


async def join(settings: Settings) -> None:
    """Help to fill the generation that somebody builds, until it is live or dropped."""
    building = await _begun(settings)
    async with _feeding(settings, building) as feed:
        while await _building(settings) == building:
            await asyncio.wait({feed}, timeout=1)
            if feed.done():
                feed.result()


async def _begun(settings: Settings) -> Generation:
    """Return the generation that is being built, or is about to be: helpers start together with who leads."""
    give_up_at = asyncio.get_running_loop().time() + BEGIN_SECONDS
    while (building := await _building(settings)) is None:
        if asyncio.get_running_loop().time() > give_up_at:
            raise Refusal("nothing is being built; chat rebuild begins")
        await asyncio.sleep(BEGIN_LOOK_SECONDS)
    return building


async def _building(settings: Settings) -> Generation | None:
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        building = [one for one in await generations.listed(session) if one.state == "building" and one.fits]
    return building[0]._replace(complete=False) if building else None


async def _begin(settings: Settings, found: log.Log, *, late_indexes: bool = False) -> tuple[Generation, Generation]:
    """Return the live generation and the one to build, which is the unfinished one if there is one."""
    async with one_transaction(settings.database(), generations.CONTROL) as session:
        await generations.lock(session)
        known = await generations.listed(session)
        live = next((one for one in known if one.state == "live"), None)
        if live is None:
            raise Refusal("there is no live generation to compare with: start a worker, and let it catch up")
        generations.require_epoch(live, found.epoch)
        for one in known:
            if one.state == "building" and not one.fits:
                raise Refusal(
                    f"generation {one.id} has tables or events of another release, which can go on with it. "
                    f"To build those of this one: chat generations drop {one.id}"
                )
            if one.state == "building":
                return live, one
        number = known[-1].id + 1
        new = await generations.create(
            session, number, found, state="building", complete=False, late_indexes=late_indexes
        )
        if not live.fits:
            # Maybe nobody feeds it any more: what would be filled past where it stands could not be compared.
            await stop_at(session.of(new.schema), await promotion.ends_of(session.of(live.schema)))
        return live, new


async def _build(
    settings: Settings, live: Generation, new: Generation, options: Options, tell: Callable[[Stage], None]
) -> None:
    of_live = Database(settings.database(), live.schema, size=1, patient=True)
    of_new = Database(settings.database(), new.schema, size=2, patient=True)
    try:
        async with _feeding(settings, new) as feed:
            building = asyncio.ensure_future(_fill_and_promote(settings, of_live, of_new, new, options, tell))
            try:
                await asyncio.wait({building, feed}, return_when=asyncio.FIRST_COMPLETED)
                if not building.done():
                    feed.result()
                await building
            finally:
                building.cancel()
                await asyncio.gather(building, return_exceptions=True)
    finally:
        await of_live.close()
        await of_new.close()


async def _fill_and_promote(
    settings: Settings,
    of_live: Database,
    of_new: Database,
    new: Generation,
    options: Options,
    tell: Callable[[Stage], None],
) -> None:
    build = Build(settings, of_live, of_new, new, options, tell)
    if not new.complete:
        await build.fill()
        async with build.frozen() as live:
            await build.fill_until_there(live)
            await build.complete(live)
    tell(Stage("waiting to be level with the live tables"))
    await promotion.promote(settings, new.id, within=PROMOTE_SECONDS)


@asynccontextmanager
async def _feeding(settings: Settings, generation: Generation) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the lanes of a generation in this process, in the mode that its positions say, also when that changes."""
    database = Database(settings.database(), generation.schema)
    app = faust_worker.App(
        database,
        group=generation.group,
        instance=None,
        kafka_options=settings.kafka_options(),
        heartbeat=HEARTBEAT_SECONDS,
    )
    stop = asyncio.Event()
    feed = asyncio.ensure_future(faust_worker.run(app, stop))
    follow = asyncio.ensure_future(_follow(app, database))
    try:
        yield feed
    finally:
        follow.cancel()
        stop.set()
        await asyncio.gather(feed, follow, return_exceptions=True)
        await database.close()


async def _follow(app: faust_worker.App, database: Database) -> None:
    """Have the lanes look again whenever the end of the filling is set or reached, or the filling ends.

    It is reached without them where the last records before it were compacted.
    """
    before = None
    while True:
        with suppress(Exception):
            async with database.session() as session:
                stored = await positions.load(session)
            reached = all(one.next_offset == one.until for one in stored.values())
            mode = reached, {partition: one[2:] for partition, one in stored.items()}
            if before is not None and mode != before:
                app.look_again()
            before = mode
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[None]:
    """Lead the only rebuild, as long as this connection lives."""
    database = Database(settings.database(), generations.CONTROL, size=1)
    try:
        async with database.session() as session:
            if not (await session.fetch(f"SELECT pg_try_advisory_lock({_RUNNING})"))[0][0]:
                raise Refusal("a rebuild is running already; chat rebuild --join helps it")
            try:
                yield
            finally:
                await session.execute(f"SELECT pg_advisory_unlock({_RUNNING})")
    finally:
        await database.close()
