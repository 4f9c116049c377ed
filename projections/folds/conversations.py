"""`chat.conversations`: opened, sent, read, blocked, unblocked.

`fold` is pure: it changes the conversations that it is given and returns the rows. `ConversationsFold` gives it those
that the batch touches, from memory or from the tables.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from projections.changes import Changes
from projections.database import Session
from projections.folds import rows
from projections.folds.recent import Recent
from projections.folds.rows import moment
from projections.records import Record, dead_letter
from projections.tables import blocked_users, conversations, differences, inbox, messages, reads
from projections.tables.messages import Sent
from schemas import topics
from schemas.conversation import Conversation, Inapplicable, apply
from schemas.envelope import BadRecord
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)
from schemas.ids import Partition

CONVERSATIONS_REMEMBERED = 20_000
MESSAGES_REMEMBERED = 20_000

Place = tuple[int, int]
"""A conversation's id and a message's number in it."""


class Known(Struct):
    """A conversation, if the pair has one, and the offset of the last record that was applied to it."""

    conversation: Conversation | None = None
    offset: int = -1


class ConversationsFold:
    """Remembers conversations and messages that were lately touched, by their pair's key and by their place."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition.partition
        self._conversations: Recent[bytes, Known] = Recent(CONVERSATIONS_REMEMBERED)
        self._messages: Recent[Place, Sent] = Recent(MESSAGES_REMEMBERED)

    def forget(self) -> None:
        """Drop what is remembered."""
        self._conversations.clear()
        self._messages.clear()

    async def fold(self, session: Session, records: Sequence[Record]) -> Changes:
        """Fold a batch; the conversations and messages that it names are loaded where they are not remembered."""
        touched = dict.fromkeys(record.raw.key or b"" for record in records if type(record.event) is not BadRecord)
        await self._load_conversations(session, touched)
        await self._load_messages(session, records)
        known = {key: self._conversations.get(key) or Known() for key in touched}
        changes = fold(self._partition, records, known, self._messages)
        self._conversations.put(known)
        self._messages.trim()
        return changes

    async def _load_conversations(self, session: Session, touched: dict[bytes, None]) -> None:
        unknown = [key for key in touched if key not in self._conversations]
        if unknown:
            found = await conversations.load(session, [rows.pair_of(key) for key in unknown])
            revived = [Known(rows.revive(row), row.record_offset) for row in found]
            # Not `put`, which would drop others that this batch needs; that is done when it is folded.
            self._conversations.update(
                {known.conversation.key.encode(): known for known in revived if known.conversation}
            )

    async def _load_messages(self, session: Session, records: Sequence[Record]) -> None:
        wanted = {
            place
            for record in records
            if isinstance(record.event, MessageRead)
            and (place := (record.event.conversation_id, record.event.up_to_seq)) not in self._messages
        }
        if wanted:
            self._messages.update(await messages.load(session, wanted))


def fold(partition: int, records: Sequence[Record], known: dict[bytes, Known], sent: dict[Place, Sent]) -> Changes:
    """Return the rows that these records make, and bring `known` and `sent` up to date with them.

    `known` holds the conversations of the batch's pairs, by key, `sent` the messages that its reads name. What a row
    has already is left out, so that a position which was set back by hand does no harm.
    """
    changes = Changes(partition)
    touched: dict[bytes, Known] = {}
    for record in records:
        raw, event = record.raw, record.event
        if type(event) is BadRecord:
            changes.new_dead_letters.append(dead_letter(raw, str(event)))
            continue
        key = raw.key or b""
        before = known[key]
        if raw.offset <= before.offset:
            continue
        try:
            before.conversation = _apply(changes, record, before.conversation, sent)
        except Inapplicable as reason:
            changes.new_dead_letters.append(dead_letter(raw, str(reason)))
        else:
            before.offset = raw.offset
            touched[key] = before
    _add_conversations(changes, touched.values())
    return changes


def _apply(changes: Changes, record: Record, before: Conversation | None, sent: dict[Place, Sent]) -> Conversation:
    """Fold one event and add its own rows; Inapplicable is raised before anything has changed."""
    event = record.event
    # Most are messages; a failed match costs more than all the rest of a fold, since these types have an abstract base.
    if type(event) is MessageSent:
        return _sent(changes, record, event, before, sent)
    match event:
        case MessageRead():
            return _read(changes, record, event, before, sent)
        case ConversationBlocked():
            return _blocked(changes, record, event, before)
        case ConversationUnblocked():
            return _unblocked(changes, record, event, before)
        case ConversationOpened():
            moment(event.opened_at)
            conversation = apply(before, event)
            changes.opened[conversation.id] = record.raw.offset
            return conversation
        case _:
            raise TypeError(f"{event!r} does not belong on {topics.CONVERSATIONS}")


def _sent(
    changes: Changes, record: Record, event: MessageSent, before: Conversation | None, sent: dict[Place, Sent]
) -> Conversation:
    at = moment(event.sent_at)
    conversation = apply(before, event)
    seq, count = conversation.last_seq, conversation.other(event.recipient_id).sent
    offset = record.raw.offset
    changes.new_messages.append(
        messages.Row(
            conversation.id, seq, event.message_id, event.sender_id, count,
            event.content, event.content_type, event.client_id, at, offset,
        )
    )  # fmt: skip
    sent[conversation.id, seq] = Sent(event.message_id, event.sender_id, count)
    if record.seq != seq:
        changes.new_differences.append(
            differences.Row(topics.CONVERSATIONS, changes.partition, offset, conversation.id, record.seq, seq)
        )
    return conversation


def _read(
    changes: Changes, record: Record, event: MessageRead, before: Conversation | None, sent: dict[Place, Sent]
) -> Conversation:
    at = moment(event.read_at)
    message = sent.get((event.conversation_id, event.up_to_seq))
    if message is None or (message.id, message.sender_id) != (event.message_id, event.sender_id):
        raise Inapplicable(f"number {event.up_to_seq} is not message {event.message_id} of user {event.sender_id}")
    covered = message.sender_count
    moves = before is not None and event.up_to_seq > before.other(event.sender_id).read_seq
    conversation = apply(before, event, covered=covered)
    if moves:
        place = (conversation.id, event.reader_id, event.up_to_seq)
        changes.new_reads.append(reads.Row(*place, covered, event.message_id, at, record.raw.offset))
    return conversation


def _blocked(changes: Changes, record: Record, event: ConversationBlocked, before: Conversation | None) -> Conversation:
    at = moment(event.blocked_at)
    was_in_force = before is not None and before.other(event.other_user_id).blocks
    conversation = apply(before, event)
    if not was_in_force:
        changes.changed_blocks[event.user_id, conversation.id] = blocked_users.Row(
            event.user_id, conversation.id, event.other_user_id, at, None, record.raw.offset
        )
    return conversation


def _unblocked(
    changes: Changes, record: Record, event: ConversationUnblocked, before: Conversation | None
) -> Conversation:
    at = moment(event.unblocked_at)
    was_in_force = before is not None and before.other(event.other_user_id).blocks
    conversation = apply(before, event)
    blocked_at = conversation.other(event.other_user_id).blocked_at
    if was_in_force and blocked_at is not None:
        changes.changed_blocks[event.user_id, conversation.id] = blocked_users.Row(
            event.user_id, conversation.id, event.other_user_id, moment(blocked_at), at, record.raw.offset
        )
    return conversation


def _add_conversations(changes: Changes, touched: Iterable[Known]) -> None:
    """Add the final state of each conversation, once, and its place in both users' lists when that has moved."""
    talked = {message.conversation_id for message in changes.new_messages}
    for known in touched:
        conversation = known.conversation
        if conversation is None:
            continue
        row = rows.conversation_row(conversation, changes.partition, known.offset)
        places = [inbox.Move(member.user_id, conversation.id, row.updated_at) for member in conversation.members]
        if conversation.id in changes.opened:
            changes.new_conversations.append(row)
            changes.new_in_inbox += [inbox.Row(*place, changes.opened[conversation.id]) for place in places]
            for member in conversation.members:
                changes.totals[member.user_id] += 1
        else:
            changes.changed_conversations.append(row)
            if conversation.id in talked:
                changes.moved_in_inbox += places
