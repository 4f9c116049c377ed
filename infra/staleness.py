"""How far an answer is behind the log, where the read tables lack what it should contain: the header `Chat-Stale`.

How far the tables are is in read_tables.py, what they lack the tail remembers (memory.py).
"""

import math
from collections.abc import Mapping

from infra.edge import Edge
from schemas.ids import Partition

PATIENCE_SECONDS = 2.0
"""How long the tables are waited for before they are asked as they are."""

STALE = "Chat-Stale"


def stale(edge: Edge, positions: Mapping[Partition, int]) -> dict[str, str]:
    """Return the header of an answer for which the tables were to pass these positions, and did not in time."""
    return {STALE: str(_seconds_behind(edge, positions))}


def _seconds_behind(edge: Edge, positions: Mapping[Partition, int]) -> int:
    """Return the age, by the broker's time, of the oldest record that was waited for and is not in the tables."""
    stored, memories, now = edge.tables.stored, edge.tail.memories, edge.clock.now()
    oldest = now - PATIENCE_SECONDS * 1_000
    for partition, offset in positions.items():
        begin = stored.get(partition, 0)
        if partition in memories and begin < offset:
            missing = next(memories[partition].since(begin), None)
            oldest = min(oldest, missing.timestamp if missing else oldest)
    return math.ceil((now - oldest) / 1_000)
