"""A generation in an empty database and the lanes that fill it, without Kafka."""

from dataclasses import dataclass

from projections import generations
from projections.database import Database
from projections.lane import Lane
from projections.log import PROJECTED, Log
from projections.tables import positions
from projections.tables.positions import Stored
from schemas.ids import Partition
from tests.histories import History
from tests.oracle import TABLES

PARTITIONS = [Partition(topic, number) for topic in PROJECTED for number in range(2)]


@dataclass
class Place:
    """A generation in an empty database."""

    url: str
    database: Database

    async def stored(self, partition: Partition) -> Stored:
        async with self.database.transaction() as session:
            return (await positions.load(session))[partition]

    async def lane(self, partition: Partition, *, partitions: int = 2) -> Lane:
        return Lane(partition, partitions, self.database, await self.stored(partition), 0)

    async def empty(self) -> None:
        async with self.database.transaction() as session:
            for table in TABLES:
                await session.execute(f"TRUNCATE {{schema}}.{table}")
            await session.run(positions.INSERT, [positions.Begin(*partition, 0) for partition in PARTITIONS])


async def make_place(url: str) -> Place:
    begins = dict.fromkeys(PARTITIONS, 0)
    await generations.join(url, Log("an epoch", begins, begins))
    return Place(url, Database(url, "chat_g1"))


async def take_all(place: Place, history: History, size: int = 1_000) -> None:
    """Bring every partition to its end."""
    for partition, entries in history.log.items():
        lane = await place.lane(partition)
        for start in range(lane.reads_from, len(entries), size):
            await lane.take(entries[start : start + size])
