"""The life of a batch: one partition's records, in order, from the log into the tables.

A lane judges what comes, folds it, and writes rows and position in one transaction. It never skips: what it cannot do
now it tries again, within a bound, and what it may not do ends the worker. Knows Kafka's records, not its consumers.
"""

import asyncio
import logging
from collections.abc import Sequence

from projections import refusal
from projections.changes import Changes
from projections.database import Away, BadData, Database, Session
from projections.folds import FOLDS
from projections.records import Raw, Record, ce_id, dead_letter, judged
from projections.tables import positions
from projections.tables.positions import Fenced, Stored
from schemas import topics
from schemas.ids import Partition
from schemas.judge import WINDOW, Judge

log = logging.getLogger(__name__)

AT_ONCE = 200
"""So few records are written by one statement, in one round trip; more of them by one for each table, faster."""

RETRY_SECONDS = 45.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


Place = tuple[int, str | None]
"""A position and the ce_id of the record before it."""


class Lane:
    """One partition, of so many `partitions`, at its stored position.

    `reads_from` is the offset from which it must be given records.
    """

    def __init__(self, partition: Partition, partitions: int, database: Database, stored: Stored, begin: int) -> None:
        self.partition = partition
        self._partitions = partitions
        self.next_offset = stored.next_offset
        self._database = database
        self._last_ce_id = stored.last_ce_id
        self._filling = stored.filling
        self._until = stored.until
        self._advance_sql = positions.ADVANCE_FILLING if stored.filling else positions.ADVANCE
        self._fold = FOLDS[partition.topic](partition)
        self._judge = Judge()
        self._compacted = topics.BY_NAME[partition.topic].compacted
        self.reads_from = max(begin, stored.next_offset - (1 if self._compacted else WINDOW), 0)
        self._expected = self.reads_from

    @property
    def filled(self) -> bool:
        """Whether it stands where its filling ends: more records are none of its business."""
        return self._until is not None and self.next_offset >= self._until

    async def take(self, records: Sequence[Raw]) -> None:
        """Apply the next records. Fenced when somebody else moved the position; Refusal and GaveUp end the worker."""
        if self._until is not None and records[-1].offset >= self._until:
            records = [raw for raw in records if raw.offset < self._until]
        if not records:
            return
        batch = self._new(records)
        last = records[-1]
        if last.offset < self.next_offset:
            return
        to = (last.offset + 1, ce_id(last))
        pause, give_up_at = FIRST_PAUSE, asyncio.get_running_loop().time() + RETRY_SECONDS
        while True:
            try:
                await self._write(batch, to)
            except Away as away:
                if asyncio.get_running_loop().time() + pause > give_up_at:
                    raise refusal.GaveUp(f"Postgres has been away for {RETRY_SECONDS:.0f} s: {away}") from away
                log.warning("%s %d: Postgres is away, trying again: %s", *self.partition, away)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    def _new(self, records: Sequence[Raw]) -> list[Record]:
        """Judge the records, and return those that do something and are not in the tables yet."""
        for expected, raw in enumerate(records, self._expected):
            if raw.offset != expected and not self._compacted:
                raise refusal.gap(self.partition, expected, raw.offset)
            if raw.offset == self.next_offset - 1 and self._last_ce_id not in (None, ce_id(raw)):
                raise refusal.other_record(self.partition, raw.offset, self._last_ce_id, ce_id(raw))
        self._expected = records[-1].offset + 1
        return [
            record for record in judged(records, self._judge, self._partitions) if record.raw.offset >= self.next_offset
        ]

    async def _write(self, batch: Sequence[Record], to: Place) -> None:
        try:
            async with self._database.session() as session:
                try:
                    told = [await self._apply(session, batch, to)]
                except BadData as bad:
                    log.warning("%s %d: looking for the record that Postgres refuses: %s", *self.partition, bad)
                    self._fold.forget()
                    async with session.transaction():
                        await self._advance(session, to)
                        told = await self._apply_in_parts(session, batch)
        except BaseException:
            self._fold.forget()
            raise
        self.next_offset, self._last_ce_id = to
        self._tell(told)

    async def _apply(self, session: Session, batch: Sequence[Record], to: Place) -> Changes:
        """Write rows and position. What was remembered or loaded for it is right if the position is where it was."""
        changes = await self._fold.fold(session, batch)
        if len(batch) <= AT_ONCE and changes.apart:
            place = (*self.partition, self.next_offset, *to)
            if not await session.run_if(self._advance_sql, place, changes.writes(filling=self._filling)):
                raise Fenced(self.partition, self.next_offset)
        else:
            async with session.transaction():
                await self._advance(session, to)
                await self._run(session, changes)
        return changes

    async def _advance(self, session: Session, to: Place) -> None:
        if not await session.fetch(self._advance_sql, *self.partition, self.next_offset, *to):
            raise Fenced(self.partition, self.next_offset)

    async def _apply_in_parts(self, session: Session, batch: Sequence[Record]) -> list[Changes]:
        """Halve until the record that cannot be written stands alone; it becomes a dead letter, all others apply."""
        try:
            async with session.transaction():
                changes = await self._fold.fold(session, batch)
                await self._run(session, changes)
                return [changes]
        except BadData as bad:
            self._fold.forget()
            if len(batch) == 1:
                changes = Changes(self.partition.partition, new_dead_letters=[dead_letter(batch[0].raw, str(bad))])
                await self._run(session, changes)
                return [changes]
        half = len(batch) // 2
        before = await self._apply_in_parts(session, batch[:half])
        return before + await self._apply_in_parts(session, batch[half:])

    async def _run(self, session: Session, changes: Changes) -> None:
        for statement, rows in changes.writes(filling=self._filling):
            await session.run(statement, rows, copy=self._filling)

    def _tell(self, told: Sequence[Changes]) -> None:
        for changes in told:
            for letter in changes.new_dead_letters:
                log.error("dead letter: %s %d offset %d: %s", *letter[:3], letter.reason)
            for difference in changes.new_differences:
                log.critical("a writer vouched wrongly: %s", difference)
