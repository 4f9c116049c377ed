"""`chat.moderation`: reports."""

from collections.abc import Sequence

from projections.changes import Changes
from projections.folds.rows import moment
from projections.records import Record, dead_letter
from projections.tables import reports
from schemas import topics
from schemas.conversation import Inapplicable
from schemas.envelope import BadRecord
from schemas.events import ReportFiled


def fold(partition: int, records: Sequence[Record]) -> Changes:
    """Return the rows that these records make."""
    changes = Changes(partition)
    for record in records:
        try:
            changes.new_reports.append(_row(record, partition))
        except (Inapplicable, BadRecord) as reason:
            changes.new_dead_letters.append(dead_letter(record.raw, str(reason)))
    return changes


def _row(record: Record, partition: int) -> reports.Row:
    event = record.event
    if isinstance(event, BadRecord):
        raise event
    if not isinstance(event, ReportFiled):
        raise TypeError(f"{event!r} does not belong on {topics.MODERATION}")
    return reports.Row(
        id=event.report_id,
        conversation_id=event.conversation_id,
        user_id=event.user_id,
        reported_user_id=event.reported_user_id,
        report_type=event.report_type,
        reason=event.reason,
        client_id=event.client_id,
        reported_at=moment(event.reported_at),
        partition=partition,
        record_offset=record.raw.offset,
    )
