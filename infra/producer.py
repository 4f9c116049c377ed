"""aiokafka's producer, with a shorter way for batches.

Its sender hands a batch from task to task: it takes five turns of the event loop from the answer to one request until
the next is sent, and in each of them a busy edge does everything else that is due. Here who has a batch asks the broker
himself, with aiokafka's own request; what has to be tried again, or has no leader, is left to its sender.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler

from schemas.ids import Partition


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """Of each partition one batch at a time may be on its way."""

    def leader(self, partition: Partition) -> int | None:
        """Return the id of the broker that takes this partition's batches, None where that is not known."""
        node = self.client.cluster.leader_for_partition(TopicPartition(*partition))
        return None if node == -1 else node

    async def send_now(self, builder: Any, partition: Partition) -> "asyncio.Future[Any]":
        """Send a closed batch, wait for the answer, and return the future of its `RecordMetadata`.

        It is not done if the batch has to be tried again, and raises KafkaError when it cannot be written. The offset
        is -1 if the broker knows only that it was written before.
        """
        leader = self.leader(partition)
        if leader is None or self._sender.sender_task.done():
            later: asyncio.Future[Any] = await self.send_batch(builder, partition.topic, partition=partition.partition)
            return later
        accumulator, key = self._message_accumulator, TopicPartition(*partition)
        batch = MessageBatch(key, builder, ttl=self._request_timeout_ms / 1_000, linger_time=0)
        accumulator._batches[key].appendleft(batch)  # noqa: SLF001
        accumulator._pop_batch(key)  # noqa: SLF001  # numbers its records
        await SendProduceReqHandler(self._sender, {key: batch}).do(leader)
        if not batch.future.done():  # it is in line again
            accumulator._wakeup(accumulator.waiter())  # noqa: SLF001
        written: asyncio.Future[Any] = batch.future
        return written
