"""Which message has a client_id already: told again to a retry, or held against another body under the same id.

Looked for where it is cheapest: what the conversation in memory knows of client_ids, the tail's memory, then Postgres.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from command_api.conversations import Conversations
from command_api.kept import Known
from command_api.loads import Loads
from infra.memory import Entry
from infra.tail import Tail
from schemas.errors import ChatError, Code
from schemas.events import MessageSent
from schemas.ids import Position
from schemas.requests import SendMessage
from schemas.times import Time, write_time


class Sent(Struct, frozen=True, gc=False):
    """A message that is in the log and counts."""

    message_id: int
    sent_at: Time
    conversation_id: int
    client_id: str
    seq: int
    position: Position


class First(NamedTuple):
    """The message that has the client_id already, and what it said."""

    sent: Sent
    content: str
    content_type: str

    def again(self, request: SendMessage) -> Sent | ChatError:
        """Give the first answer again, unless something else was said under the same client_id."""
        if (self.content, self.content_type) == (request.content, request.content_type):
            return self.sent
        return ChatError(
            Code.CLIENT_ID_CONFLICT,
            "another message has this client_id",
            {"client_id": f"is used by message {self.sent.message_id}"},
        )


class Claims:
    """Finds the counted message with a client_id."""

    def __init__(self, tail: Tail, loads: Loads, conversations: Conversations) -> None:
        self._tail = tail
        self._loads = loads
        self._conversations = conversations

    def is_new(self, known: Known, sender_id: int, client_id: str) -> bool:
        """Tell whether it is certain without a look elsewhere that no message has this client_id."""
        return known.complete and not known.client_ids.may_have(sender_id, client_id)

    async def find(self, known: Known, sender_id: int, client_id: str) -> First | None:
        """Look everywhere; what the tail brings meanwhile has to be looked for again, with `since`.

        Unavailable when it may be among what the tail has forgotten and the read tables do not have yet.
        """
        if self.is_new(known, sender_id, client_id):
            return None
        may_be_used = known.client_ids.may_have(sender_id, client_id)
        if may_be_used and (recent := self._recent(known, sender_id, client_id)) is not None:
            return recent
        number = known.partition.partition
        row, stored = await self._loads.claimed(number, known.conversation.id, sender_id, client_id)
        if row is None:
            self._conversations.asked_about(known)
            return self._unstored(known, stored, sender_id, client_id)
        position = Position(number, row["record_offset"])
        # A client takes the position of an answer for what it has: nothing that this edge has not told yet lies before.
        await self._tail.reach({known.partition: position.offset + 1})
        sent = Sent(row["id"], write_time(row["created_at"]), known.conversation.id, client_id, row["seq"], position)
        return First(sent, row["content"], row["content_type"])

    def since(self, looked: int, known: Known, sender_id: int, client_id: str) -> First | None:
        """Look, without waiting, for what the tail has brought since `find` began at its position `looked`.

        Unavailable when that may have it, and has been forgotten already.
        """
        if not known.client_ids.may_have(sender_id, client_id):
            return None
        found = self._recent(known, sender_id, client_id)
        if found is None:
            self._tail.memories[known.partition].check_covers(looked)
        return found

    def _recent(self, known: Known, sender_id: int, client_id: str) -> First | None:
        return _among(self._tail.memories[known.partition].of_key(known.conversation.key), sender_id, client_id)

    def _unstored(self, known: Known, stored: int, sender_id: int, client_id: str) -> First | None:
        """Look at what the tables, which end before `stored`, do not have; they may have had it, and be restored."""
        memory = self._tail.memories[known.partition]
        memory.check_covers(stored)
        return _among(memory.of_key(known.conversation.key, stored), sender_id, client_id)


def _among(entries: Sequence[Entry], sender_id: int, client_id: str) -> First | None:
    for entry in reversed(entries):
        event = entry.event
        if isinstance(event, MessageSent) and (event.sender_id, event.client_id) == (sender_id, client_id):
            return first(entry)
    return None


def sent(entry: Entry) -> Sent:
    """Return what a counted message's record tells its sender."""
    event = entry.event
    if not isinstance(event, MessageSent):
        raise TypeError(f"{event!r} is not a message")
    return Sent(
        event.message_id, event.sent_at, event.conversation_id, event.client_id, entry.judgement.seq, entry.position
    )


def first(entry: Entry) -> First:
    """Return a counted message as the first of its client_id."""
    event = entry.event
    if not isinstance(event, MessageSent):
        raise TypeError(f"{event!r} is not a message")
    return First(sent(entry), event.content, event.content_type)
