"""`chat.users`: what the profile service publishes; a record without a value erases."""

from collections.abc import Sequence

from projections.changes import Changes
from projections.records import Record, dead_letter
from projections.tables import users
from schemas import topics
from schemas.envelope import BadRecord
from schemas.events import Erased, UserUpdated


def fold(partition: int, records: Sequence[Record]) -> Changes:
    """Return the rows that these records make."""
    changes = Changes(partition)
    for record in records:
        match record.event:
            case UserUpdated(user_id=user_id, name=name, photo=photo):
                changes.changed_users[user_id] = users.Row(user_id, name, photo, record.raw.offset)
                changes.erased_users.discard(users.Erased(user_id))
            case Erased(user_id=user_id):
                changes.changed_users.pop(user_id, None)
                changes.erased_users.add(users.Erased(user_id))
            case BadRecord() as bad:
                changes.new_dead_letters.append(dead_letter(record.raw, str(bad)))
            case _:
                raise TypeError(f"{record.event!r} does not belong on {topics.USERS}")
    return changes
