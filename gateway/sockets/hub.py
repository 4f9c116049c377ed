"""The hub: gives each counted event of the log to the sessions of its two users on this edge.

A follower of the tail, after the commands' answers. Each frame is encoded once for all its sockets; what it says is in
durable.py, who may see whom in partners.py, and what a session does with it in session.py.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from command_api.conversations import Conversations
from gateway.presence.partners import Partners
from gateway.sockets import durable
from gateway.sockets.durable import Profile
from gateway.sockets.session import Session, Slot
from infra.background import Background
from infra.memory import Entry
from infra.read_tables import ReadTables
from schemas.errors import Unavailable
from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
)

PROFILE_SECONDS = 1.0
"""How long a new conversation waits for the other's name and photo; everything behind it waits too."""

_PROFILES = "SELECT id, name, photo FROM {schema}.users WHERE id = ANY($1::bigint[])"


class _Read(NamedTuple):
    """A read by the other of a conversation, for who wrote its messages."""

    entry: Entry
    event: MessageRead
    frame: bytes


class Hub:
    """The sessions on this edge, by user."""

    def __init__(
        self, conversations: Conversations, partners: Partners, tables: ReadTables, background: Background
    ) -> None:
        self._conversations = conversations
        self._partners = partners
        self._tables = tables
        self._background = background
        self._of_user: dict[int, list[Session]] = {}
        self._late: dict[int, dict[int, _Read]] = {}
        partners.on_load(self._tell_late)

    def add(self, session: Session) -> None:
        """Push to this session from the next record on."""
        self._of_user.setdefault(session.user_id, []).append(session)

    def remove(self, session: Session) -> bool:
        """Stop pushing; tell whether it was the user's last session here."""
        sessions = self._of_user.get(session.user_id, [])
        if session in sessions:
            sessions.remove(session)
        if sessions:
            return False
        self._of_user.pop(session.user_id, None)
        self._late.pop(session.user_id, None)
        return True

    def of(self, user_id: int) -> Sequence[Session]:
        """Return a user's sessions on this edge."""
        return self._of_user.get(user_id, ())

    def tell(self, users: Iterable[int], frame: bytes) -> None:
        """Give these users a frame that has no place in the log."""
        for user_id in users:
            for session in self._of_user.get(user_id, ()):
                session.tell(frame)

    def push(self, entry: Entry) -> None:
        """Take the next counted event of a conversation."""
        if entry.repeats:
            return
        match entry.event:
            case MessageSent() as event:
                self._message(entry, event)
            case MessageRead() as event:
                self._read(entry, event)
            case ConversationOpened() as event:
                self._opened(entry, event)
            case ConversationBlocked() | ConversationUnblocked() as event:
                self._give(entry, event.user_id, durable.block(event, _position(entry)))
            case _:
                pass

    def _message(self, entry: Entry, event: MessageSent) -> None:
        sessions = self._of_user.get(event.recipient_id)
        if sessions:
            frame = durable.message(event, entry.judgement.seq, _position(entry))
            for session in sessions:
                session.give(entry.partition.partition, entry.offset, frame)
        own = self._of_user.get(event.sender_id)
        if own and (len(own) > 1 or own[0] is not entry.origin):
            frame = durable.message(event, entry.judgement.seq, _position(entry), to_sender=True)
            self._give(entry, event.sender_id, frame)

    def _read(self, entry: Entry, event: MessageRead) -> None:
        """Tell the reader's own sockets, and the other's unless a block stands between them."""
        own, others = self._of_user.get(event.reader_id), self._of_user.get(event.sender_id)
        if not own and not others:
            return
        frame = durable.read(event, _position(entry))
        if own:
            self._give(entry, event.reader_id, frame)
        if others:
            self._read_by_other(_Read(entry, event, frame))

    def _read_by_other(self, read: _Read) -> None:
        """Tell of a read unless a block hides it; where that is not known yet, later, and the furthest read only."""
        event = read.event
        blockers = self.blockers(event)
        if blockers is None:
            late = self._late.setdefault(event.sender_id, {})
            earlier = late.get(event.conversation_id)
            if earlier is None or earlier.event.up_to_seq < event.up_to_seq:
                late[event.conversation_id] = read
        elif not blockers:
            self._give(read.entry, event.sender_id, read.frame)

    def _tell_late(self, users: Collection[int]) -> None:
        """Tell these users, whose partners are known now, of the reads that waited for that."""
        for user_id in users:
            for read in self._late.pop(user_id, {}).values():
                self._read_by_other(read)

    def blockers(self, event: MessageRead) -> set[int] | None:
        """Return who blocks the conversation as of now; None when that is not known here."""
        known = self._conversations.kept(event.conversation_id)
        if known is not None:
            return {member.user_id for member in known.conversation.members if member.blocks}
        return self._partners.blockers(event.sender_id, event.reader_id)

    def _opened(self, entry: Entry, event: ConversationOpened) -> None:
        users = [user for user in (event.user_id, event.other_user_id) if user in self._of_user]
        if not users:
            return
        for user, slot in self.opening(event, _position(entry), users).items():
            for session in self._of_user[user]:
                session.give(entry.partition.partition, entry.offset, slot)

    def opening(self, event: ConversationOpened, position: str, users: Iterable[int]) -> dict[int, Slot]:
        """Return for each of these users the place of a frame that is made when the names are known."""
        slots = {user: Slot() for user in users}
        self._background.spawn(self._fill(event, slots, position), "a new conversation")
        return slots

    async def _fill(self, event: ConversationOpened, slots: dict[int, Slot], position: str) -> None:
        profiles: dict[int, Profile] = {}
        try:
            profiles = await self._profiles([event.user_id, event.other_user_id])
        finally:  # whatever happens, what stands behind the slots must leave
            for user, slot in slots.items():
                other = event.other_user_id if user == event.user_id else event.user_id
                slot.frame = durable.opened(event, user, profiles.get(other, Profile()), position)
                for session in self._of_user.get(user, ()):
                    session.wake()

    async def _profiles(self, users: Iterable[int]) -> dict[int, Profile]:
        """Return how users are shown, as far as that is known; nothing when Postgres does not answer at once."""
        try:
            async with asyncio.timeout(PROFILE_SECONDS):
                rows = await self._tables.fetch(_PROFILES, list(users))
        except (Unavailable, TimeoutError):
            return {}
        return {row["id"]: Profile(row["name"], row["photo"]) for row in rows}

    def _give(self, entry: Entry, user_id: int, frame: bytes) -> None:
        """Give all sessions of a user a durable frame, but not the one that gets the answer instead."""
        for session in self._of_user.get(user_id, ()):
            if session is not entry.origin:
                session.give(entry.partition.partition, entry.offset, frame)


def _position(entry: Entry) -> str:
    return f"{entry.partition.partition}:{entry.offset}"
