"""Notice a worker that lives and does not advance while there is work.

Every wait in a worker has its own limit; this is for what nobody thought of. Pure but for the loop in `watch`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Never

from projections.refusal import GaveUp
from schemas.ids import Partition

EVERY_SECONDS = 10.0
MOST_LOOKS = 6
"""So often in a row nothing may have advanced."""

Positions = Mapping[Partition, int]


class Progress:
    """Compares where the lanes stand with the ends of the log, look by look."""

    def __init__(self) -> None:
        self._before: Positions = {}
        self._stuck = 0

    def stuck(self, stand: Positions, ends: Positions | None) -> str | None:
        """Return what is wrong after MOST_LOOKS looks without progress; `ends` is None when Kafka did not answer."""
        behind = {p: at for p, at in stand.items() if ends is not None and at < ends.get(p, 0)}
        idle = ends is not None and not behind
        advanced = any(at != self._before.get(p) for p, at in behind.items())
        self._stuck = 0 if idle or advanced else self._stuck + 1
        self._before = dict(stand)
        if self._stuck < MOST_LOOKS:
            return None
        where = ", ".join(f"{p.topic} partition {p.partition} at {at}" for p, at in sorted(behind.items()))
        return f"nothing has advanced for {MOST_LOOKS * EVERY_SECONDS:.0f} s: {where or 'Kafka does not answer'}"


async def watch(stand: Callable[[], Positions], ends: Callable[[], Awaitable[Positions]]) -> Never:
    """Look again and again; GaveUp when the worker is stuck."""
    progress = Progress()
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        found: Positions | None = None
        try:
            async with asyncio.timeout(EVERY_SECONDS):
                found = await ends()
        except Exception:  # noqa: BLE001 - whatever keeps Kafka from answering counts as not advancing
            found = None
        if wrong := progress.stuck(stand(), found):
            raise GaveUp(wrong)
