"""One module for each projected topic: which rows its events make.

`Fold` is what they have in common; `FOLDS` says which topic has which. The folding itself is pure; what a fold must
know of earlier events it loads from its own tables and may remember until `forget`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol

from projections.changes import Changes
from projections.database import Session
from projections.folds import conversations, last_seen, moderation, users
from projections.records import Record
from schemas import topics
from schemas.ids import Partition


class Fold(Protocol):
    """The fold of one partition."""

    async def fold(self, session: Session, records: Sequence[Record]) -> Changes:
        """Return what these records do to the tables, given all that came before them."""

    def forget(self) -> None:
        """Drop what is remembered: it may differ from the tables now."""


class Independent:
    """A fold that needs nothing of what came before: each record says all there is."""

    def __init__(self, rows_of: Callable[[int, Sequence[Record]], Changes], partition: Partition) -> None:
        self._rows_of = rows_of
        self._partition = partition.partition

    async def fold(self, _session: Session, records: Sequence[Record]) -> Changes:
        """Fold a batch."""
        return self._rows_of(self._partition, records)

    def forget(self) -> None:
        """There is nothing to drop."""


FOLDS: MappingProxyType[str, Callable[[Partition], Fold]] = MappingProxyType(
    {
        topics.CONVERSATIONS: conversations.ConversationsFold,
        topics.MODERATION: partial(Independent, moderation.fold),
        topics.USERS: partial(Independent, users.fold),
        topics.LAST_SEEN: partial(Independent, last_seen.fold),
    }
)
