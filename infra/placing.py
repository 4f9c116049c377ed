"""Where records lie: a key's partition is the one that Kafka's own clients choose, so that all producers agree.

A record that lies in another has no order with those of its key, and two readers could find it before or after them.
So it is none of ours, whatever it says: edges and projections both ask here.
"""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from schemas.envelope import BadRecord


@lru_cache(maxsize=100_000)
def place(key: bytes | None, partitions: int) -> int:
    """Return the number of a key's partition, of so many; what has no key lies in the first."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions


def check_place(key: bytes | None, partition: int, partitions: int) -> None:
    """Refuse a record that lies in another partition than its key's: BadRecord."""
    if (expected := place(key, partitions)) != partition:
        raise BadRecord(f"the key {key!r} belongs in partition {expected}")
