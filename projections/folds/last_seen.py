"""`chat.last-seen`: when a user's last socket closed; the latest time wins, and a record without a value erases."""

from collections.abc import Sequence

from projections.changes import Changes
from projections.folds.rows import moment
from projections.records import Record, dead_letter
from projections.tables import last_seen as table
from schemas import topics
from schemas.conversation import Inapplicable
from schemas.envelope import BadRecord
from schemas.events import Erased, LastSeen


def fold(partition: int, records: Sequence[Record]) -> Changes:
    """Return the rows that these records make; what is erased goes before what came after it."""
    changes = Changes(partition)
    for record in records:
        match record.event:
            case LastSeen(user_id=user_id, last_seen=time):
                try:
                    row = table.Row(user_id, moment(time), record.raw.offset)
                except Inapplicable as reason:
                    changes.new_dead_letters.append(dead_letter(record.raw, str(reason)))
                    continue
                known = changes.changed_last_seen.get(user_id)
                if known is None or row.last_seen >= known.last_seen:
                    changes.changed_last_seen[user_id] = row
            case Erased(user_id=user_id):
                changes.changed_last_seen.pop(user_id, None)
                changes.erased_last_seen.add(table.Erased(user_id))
            case BadRecord() as bad:
                changes.new_dead_letters.append(dead_letter(record.raw, str(bad)))
            case _:
                raise TypeError(f"{record.event!r} does not belong on {topics.LAST_SEEN}")
    return changes
