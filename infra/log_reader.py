"""Read partitions of the log by their positions, without a group: aiokafka's consumer, in this project's types."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from infra import kafka
from infra.settings import Settings
from schemas.ids import Partition

QUIET_SECONDS = 0.2


class LogReader:
    """A reader of explicitly chosen partitions; records are aiokafka's `ConsumerRecord`s, keys and values bytes."""

    def __init__(self, settings: Settings) -> None:
        self._consumer: Any = kafka.consumer(settings)
        self._reading: dict[TopicPartition, Partition] = {}

    async def start(self) -> None:
        """Connect; KafkaError when there is no broker."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect, within bounds."""
        await kafka.stop(self._consumer)

    def read_from(self, positions: Mapping[Partition, int]) -> None:
        """Read these partitions, and no others, from these offsets on."""
        self._reading = {TopicPartition(*partition): partition for partition in positions}
        self._consumer.assign(list(self._reading))
        for partition, offset in positions.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    def be_patient(self, patience: kafka.Patience) -> None:
        """Have the broker keep the fetches to come until they are worth it."""
        kafka.be_patient(self._consumer, patience)

    async def records(self, *, wait: float, most: int) -> dict[Partition, list[Any]]:
        """Return the next records of each partition, at most `most`, after at most `wait` seconds.

        OutOfLog for positions that the log does not have (any more).
        """
        try:
            found = await self._consumer.getmany(timeout_ms=int(wait * 1_000), max_records=most)
        except OffsetOutOfRangeError as error:
            raise OutOfLog({Partition(*partition): offset for partition, offset in error.args[0].items()}) from error
        return {self._reading[partition]: records for partition, records in found.items()}

    async def following(self, partition: Partition, offset: int) -> int | None:
        """Return the offset of the first record from `offset` on, None where the log has none; reads nothing else.

        On a compacted topic that is often a later one; on any, the end of a transaction has an offset and is no record.
        Unbounded while no broker answers.
        """
        self.read_from({partition: offset})
        key = TopicPartition(*partition)
        while True:
            answered, before = self._consumer.highwater(key) is not None, await self._consumer.position(key)
            if found := await self.records(wait=QUIET_SECONDS, most=1):
                return int(found[partition][0].offset)
            # A batch of which nothing is left moves the position all the same.
            if answered and await self._consumer.position(key) == before:
                return None

    async def rewind(self, partition: Partition) -> None:
        """Go back to the first record that the log still has."""
        await self._consumer.seek_to_beginning(TopicPartition(*partition))

    async def begins(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the first offset that each partition still has."""
        return _ours(await self._consumer.beginning_offsets([TopicPartition(*partition) for partition in partitions]))

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the end of each partition: the offset that its next record will have."""
        return _ours(await self._consumer.end_offsets([TopicPartition(*partition) for partition in partitions]))

    async def offsets_at(self, times: Mapping[Partition, int]) -> dict[Partition, int]:
        """Return the first offset appended at or after a time in milliseconds; nothing where there is none."""
        found = await self._consumer.offsets_for_times({TopicPartition(*key): time for key, time in times.items()})
        return {Partition(*key): at.offset for key, at in found.items() if at is not None}


class OutOfLog(RuntimeError):
    """Positions that the log does not have: it was cut, made anew, or its retention has passed them."""

    def __init__(self, positions: Mapping[Partition, int]) -> None:
        super().__init__(", ".join(f"{p.topic} partition {p.partition} offset {at}" for p, at in positions.items()))
        self.positions = positions


def _ours(offsets: Mapping[Any, int]) -> dict[Partition, int]:
    return {Partition(*partition): offset for partition, offset in offsets.items()}
