"""One worker: find the log and the generations, feed each of them, and end clearly when that cannot go on.

Every generation that edges read, or could be told to read again, is fed until it is dropped: by workers of the release
that made it, or of one with the same tables that knows all its events.
"""

import asyncio
import logging
from contextlib import suppress

from infra.retry import until_there
from infra.settings import Settings
from projections import faust_worker, generations, log, promotion
from projections.database import Away, Database, Gone
from projections.generations import Generation
from projections.priority import Priority
from projections.refusal import GaveUp, Refusal

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
AWAY_SECONDS = 60.0


async def work(settings: Settings, instance: str | None, stop: asyncio.Event) -> None:
    """Feed the read tables until `stop` is set; Refusal and GaveUp say why not."""
    found = await log.look(settings)
    await _join(settings, found)
    feeds = Feeds(settings, instance, found.epoch)
    try:
        await feeds.run(stop)
    finally:
        await feeds.close()


async def _join(settings: Settings, found: log.Log) -> None:
    """Make the first generation, waiting for Postgres if it is about to come up."""
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            await until_there(lambda: generations.join(settings.database(), found), Away)
    except TimeoutError:
        raise GaveUp(f"Postgres has been away for {AWAY_SECONDS:.0f} s") from None


class Feeds:
    """A feed for each generation that is to be fed, begun and ended as `chat.generations` says."""

    def __init__(self, settings: Settings, instance: str | None, epoch: str) -> None:
        self._settings = settings
        self._instance = instance
        self._epoch = epoch
        self._control = Database(settings.database(), generations.CONTROL, size=1)
        self._priority = Priority()
        self._running: dict[int, _Feed] = {}
        self._others: set[int] = set()
        self._seen = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Look at the list of generations again and again until `stop` is set, or a feed fails."""
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            await self._look()
            tasks = {stopping, *(feed.task for feed in self._running.values())}
            await asyncio.wait(tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for feed in self._running.values():
                if feed.task.done():
                    await self._ended(feed)

    async def close(self) -> None:
        """End all feeds in order."""
        for number in list(self._running):
            await self._end(number)
        await self._control.close()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            async with self._control.transaction() as session:
                known = await generations.listed(session)
        except Away as away:
            if self._running and now - self._seen > AWAY_SECONDS:
                raise GaveUp(f"Postgres has been away for {AWAY_SECONDS:.0f} s: {away}") from away
            return
        self._seen = now
        fed = {one.id: one for one in known if one.complete and one.fits}
        others = {one.id for one in known if not one.fits}
        for number in sorted(others - self._others):
            logger.warning("generation %d has tables or events of another release, whose workers feed it", number)
        if others and not fed and (others != self._others or self._running):
            logger.warning("this worker feeds nothing: the order of a roll-out is in docs/operating.md")
        self._others = others
        for number in self._running.keys() - fed.keys():
            logger.info("generation %d was dropped", number)
            await self._end(number)
        for number in fed.keys() - self._running.keys():
            generations.require_epoch(fed[number], self._epoch)
            self._running[number] = _Feed(self._settings, self._instance, fed[number], self._priority)
        if not any(one.state == "live" for one in known):
            if known and not any(one.fits for one in known):
                raise Refusal(
                    f"generation {known[-1].id} has tables or events of another release and is not live: let that "
                    f"release go on, or chat generations drop {known[-1].id}"
                )
            await promotion.promote_first(self._settings, fed.values())

    async def _ended(self, feed: "_Feed") -> None:
        """Raise what ended a feed, unless it is that its generation was dropped."""
        try:
            feed.task.result()
        except Gone:
            async with self._control.session() as session:
                if feed.number in {one.id for one in await generations.listed(session)}:
                    raise

    async def _end(self, number: int) -> None:
        feed = self._running.pop(number)
        feed.stop.set()
        with suppress(Exception):
            await feed.task


class _Feed:
    """One generation's Faust app in this process."""

    def __init__(self, settings: Settings, instance: str | None, generation: Generation, priority: Priority) -> None:
        self.number = generation.id
        self.stop = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run(settings, instance, generation, priority))

    async def _run(self, settings: Settings, instance: str | None, generation: Generation, priority: Priority) -> None:
        logger.info("feeding generation %d (%s)", generation.id, generation.state)
        database = Database(settings.database(), generation.schema)
        app = faust_worker.App(
            database,
            group=generation.group,
            instance=instance,
            kafka_options=settings.kafka_options(),
            on_batch=priority.rank,
        )
        try:
            await faust_worker.run(app, self.stop)
        finally:
            await database.close()
