"""Records of one partition, decoded and judged: what a fold works on.

Pure. A record that is none of our events keeps its place, with the reason, and becomes a dead letter.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from msgspec import Struct

from infra.placing import check_place
from projections.tables import dead_letters
from schemas.envelope import BadRecord, Headers, header, storable, unseal
from schemas.events import Fact
from schemas.judge import Judge, Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = 253_402_300_799_999  # of the year 9999: older producers may write any timestamp


class Raw(Protocol):
    """A record as the consumer brings it; `timestamp` is in milliseconds since the epoch."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Record(Struct, frozen=True, gc=False):
    """A record that does something: its event and the number that the judge gave it, or why it is a dead letter."""

    raw: Raw
    event: Fact | BadRecord
    seq: int = 0


def judged(records: Iterable[Raw], judge: Judge, partitions: int) -> list[Record]:
    """Decode records and take the judge's verdict on each, in order; void ones are left out.

    `partitions`: how many their topic has.
    """
    found = []
    for raw in records:
        try:
            event = unseal(raw.topic, raw.key, raw.value, raw.headers)
            check_place(raw.key, raw.partition, partitions)
        except BadRecord as bad:
            judge.judge(raw.offset, None)
            found.append(Record(raw, bad.with_traceback(None)))
            continue
        judgement = judge.judge(raw.offset, event)
        if judgement.verdict is Verdict.COUNTED:
            found.append(Record(raw, event, judgement.seq))
    return found


def ce_id(raw: Raw) -> str | None:
    """Return the record's ce_id in a form that Postgres can store."""
    return _storable(header(raw.headers, "ce_id"))


def dead_letter(raw: Raw, reason: str) -> dead_letters.Row:
    """Return the row that keeps a record which cannot be applied."""
    return dead_letters.Row(
        topic=raw.topic,
        partition=raw.partition,
        record_offset=raw.offset,
        ce_id=ce_id(raw),
        ce_type=_storable(header(raw.headers, "ce_type")),
        reason=_storable(reason) or "",
        key=raw.key,
        value=raw.value,
        headers=msgspec.json.encode([(name, value) for name, value in raw.headers]),
        recorded_at=_EPOCH + timedelta(milliseconds=min(max(raw.timestamp, 0), _LAST_MILLISECOND)),
    )


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)
