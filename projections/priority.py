"""A worker stands back for the others on its machine while it keeps up: what clients wait for goes first.

By Linux's autogroup, the weight of a session among all others: who gave some up may take it back, as with `nice` only
root may. A worker that stood back for good would fall behind where others fill all processors, for as long as they do.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from infra.clock import BrokerClock
from projections.records import Raw

log = logging.getLogger(__name__)

AUTOGROUP = Path("/proc/self/autogroup")
STANDS_BACK, AS_OTHERS = 10, 0
"""As `nice` counts: a tenth of the weight of others, or as much as they have."""

BEHIND_MS = 300
"""So long may a record have waited when it is taken; a tenth of a second is what busy workers wait for company."""

KEPT_UP_SECONDS = 1.0
"""How long none may have been older before the worker stands back."""


class Priority:
    """How this process ranks; it has to lead its session, or it would decide for others, and then nothing changes."""

    def __init__(self, autogroup: Path = AUTOGROUP) -> None:
        self._autogroup = autogroup
        self._alone = os.getsid(0) == os.getpid()
        self._clock = BrokerClock()
        self._behind_at = time.monotonic()
        self._rank = AS_OTHERS

    def rank(self, batch: Sequence[Raw]) -> None:
        """Rank by how long the next batch has waited."""
        self._clock.observe(batch[-1].timestamp)
        now = time.monotonic()
        if self._clock.now() - batch[0].timestamp > BEHIND_MS:
            self._behind_at = now
        self._set(STANDS_BACK if now - self._behind_at > KEPT_UP_SECONDS else AS_OTHERS)

    def _set(self, rank: int) -> None:
        if rank == self._rank or not self._alone:
            return
        try:
            self._autogroup.write_text(str(rank))
        except OSError as error:  # not here, or not now: the kernel takes one change in 0.1 s
            log.debug("the priority stays: %s", error)
        else:
            self._rank = rank
