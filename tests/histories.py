"""Random histories of a few pairs, as edges that lag would write them, and as nobody should.

Edges vouch for a prefix of the log that may be some records old: so there are void messages, opens and reports. Bad
records of every kind are among them; those that nobody could know to be bad by their content carry the header `x-bad`.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.partitioner import DefaultPartitioner

from schemas import topics
from schemas.envelope import seal
from schemas.events import (
    AnyEvent,
    AsOf,
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    LastSeen,
    MessageRead,
    MessageSent,
    ReportFiled,
    UserUpdated,
)
from schemas.ids import Partition
from schemas.times import format_time

START = 1_750_000_000_000
_PARTITIONER = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it will lie in Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class View:
    """A pair as an edge knows it that has read so far."""

    id: int | None = None
    blockers: set[int] = field(default_factory=set)
    clients: set[tuple[int, str]] = field(default_factory=set)
    messages: list[MessageSent] = field(default_factory=list)


class History:
    """A log in the making: each `step` appends one record. `log` holds all of them by partition, in order."""

    def __init__(
        self,
        random: random.Random,
        *,
        partitions: int = 2,
        pairs: int = 4,
        first_id: int = 1,
        bad: bool = True,
        refused: bool = True,
        clocks_off: int = 3,
    ) -> None:
        """`bad`: with records that become dead letters; `refused`: also such as only Postgres can know to be bad.

        `clocks_off`: milliseconds that the writers' clocks are off, either way.
        """
        self._clocks_off = clocks_off
        self.random = random
        self.bad = bad
        self.refused = bad and refused
        self.partitions = partitions
        self.log: dict[Partition, list[Entry]] = defaultdict(list)
        self.order: list[Entry] = []
        self._ends: dict[Partition, int] = defaultdict(int)
        self._ids = first_id * 1_000_000
        self._pairs = [(first_id * 1_000_000 + 2 * n, first_id * 1_000_000 + 2 * n + 1) for n in range(1, pairs + 1)]
        self._events: dict[tuple[int, int], list[tuple[int, ConversationEvent, bool]]] = defaultdict(list)
        self._now_known: dict[tuple[int, int], View] = defaultdict(View)
        self._reports: list[tuple[int, ReportFiled]] = []

    def steps(self, count: int) -> list[Entry]:
        """Append `count` records and return them."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.send, 50), (self.read, 15), (self.open, 6), (self.block, 4), (self.unblock, 6), (self.report, 5),
            (self.update_user, 3), (self.see, 3),
        ]  # fmt: skip
        if self.bad:
            kinds.append((self.spoil, 6))
        before = len(self.order)
        while len(self.order) - before < count:
            self.random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()
        return self.order[before:]

    def send(self) -> None:
        """A message by an edge that may lag; sometimes a retry that another edge has sent meanwhile."""
        pair, sender, recipient = self._two()
        as_of, view = self._view(pair)
        if view.id is None or view.blockers:
            return
        retried = [
            event for _, event, _ in self._events[pair] if isinstance(event, MessageSent) and event.sender_id == sender
        ]
        client_id = f"client {self._id()}"
        if retried and self.random.random() < 0.2 and (sender, retried[-1].client_id) not in view.clients:
            client_id = retried[-1].client_id
        self._converse(pair, self._message(view, sender, recipient, client_id, as_of))

    def read(self) -> None:
        """A watermark, forward or not."""
        pair, reader, sender = self._two()
        _, view = self._view(pair)
        numbered = [(seq, message) for seq, message in enumerate(view.messages, 1) if message.sender_id == sender]
        if view.id is not None and numbered:
            seq, message = self.random.choice(numbered[-5:])
            self._converse(
                pair,
                MessageRead(
                    message_id=message.message_id, conversation_id=view.id, reader_id=reader, sender_id=sender,
                    up_to_seq=seq, read_at=self._now(),
                ),
            )  # fmt: skip

    def open(self) -> None:
        """A conversation, unless this edge knows of one."""
        pair, user, other = self._two()
        as_of, view = self._view(pair)
        if view.id is None:
            event = ConversationOpened(
                conversation_id=self._id(), user_id=user, other_user_id=other, opened_at=self._now(), as_of=as_of
            )
            self._converse(pair, event)

    def block(self) -> None:
        pair, user, other = self._two()
        _, view = self._view(pair)
        if view.id is not None:
            self._converse(
                pair,
                ConversationBlocked(conversation_id=view.id, user_id=user, other_user_id=other, blocked_at=self._now()),
            )

    def unblock(self) -> None:
        pair, user, other = self._two()
        _, view = self._view(pair)
        if view.id is not None:
            self._converse(
                pair,
                ConversationUnblocked(
                    conversation_id=view.id, user_id=user, other_user_id=other, unblocked_at=self._now()
                ),
            )

    def report(self) -> None:
        """A report, or one again that is on its way already."""
        pair, user, other = self._two()
        partition = self._partition(topics.MODERATION, f"{pair[0]}:{pair[1]}")
        as_of = AsOf(max(0, self._ends[partition] - self.random.choice([0, 0, 2])))
        again = [
            report for at, report in self._reports if report.user_id == user and (at >= as_of.offset or self.refused)
        ]
        client_id = again[-1].client_id if again and self.random.random() < 0.3 else f"client {self._id()}"
        reason = self.random.choice(["rude", "\x00" if self.refused else "", "an image\n"])
        event = ReportFiled(
            report_id=self._id(), conversation_id=pair[0], user_id=user, reported_user_id=other, report_type="spam",
            reason=reason, client_id=client_id, reported_at=self._now(),
            as_of=as_of,
        )  # fmt: skip
        offset = self._append(event).offset
        if event.client_id not in {report.client_id for report in again}:
            self._reports.append((offset, event))

    def update_user(self) -> None:
        """A profile, or its erasure."""
        _, user, _ = self._two()
        if self.random.random() < 0.2:
            self._put(self._partition(topics.USERS, str(user)), str(user).encode(), None, ())
        else:
            self._append(UserUpdated(user_id=user, name=self.random.choice(["Ann", None]), photo=None))

    def see(self) -> None:
        """A last socket closed; records may come in any order of their times, and have the same."""
        _, user, _ = self._two()
        at = START + self.random.randrange(1_000_000) // 100_000
        self._append(LastSeen(user_id=user, last_seen=format_time(at)))

    def spoil(self) -> None:
        """A record that must become a dead letter, or counts although its writer lied."""
        pair, sender, recipient = self._two()
        as_of, view = self._view(pair, lag=0)
        partition = self._partition(topics.CONVERSATIONS, f"{pair[0]}:{pair[1]}")
        key = f"{pair[0]}:{pair[1]}".encode()
        unopened = View(id=self._id())
        bad = (("x-bad", b"1"),)
        sent = (("ce_id", str(self._id()).encode()), ("ce_type", b"chat.message.sent.v1"))
        lies = [self._message(unopened, sender, recipient, "a client", as_of)]
        if view.messages and view.id is not None and not view.blockers:
            lies.append(
                self._message(view, sender, recipient, f"client {self._id()}", AsOf(as_of.offset, as_of.seq + 7))
            )
            if self.refused:
                mine = view.messages[-1]
                lies.append(self._message(view, mine.sender_id, mine.recipient_id, mine.client_id, as_of))
        choice = self.random.randrange(7 + len(lies))
        if choice >= 7:
            self._converse(pair, lies[choice - 7])
            return
        self._put(partition, *[
            (key, None, (*sent, *bad)),
            (key, b"{", (*sent, *bad)),
            (key, b"{}", (*sent, *bad)),
            (key, b"{}", (("ce_type", b"chat.message.sent.v99"), *bad)),
            (key, b'"\xff\xfe"', bad),
            (None, b"[]", (("ce_type", b"\xff"), *bad)),
            (b"1:2:3", b"{}", (("ce_id", b"\x00 and more"), ("ce_type", b"chat.user.updated.v1"), *bad)),
        ][choice])  # fmt: skip

    def _message(self, view: View, sender: int, recipient: int, client_id: str, as_of: AsOf) -> MessageSent:
        return MessageSent(
            message_id=self._id(), conversation_id=view.id or 0, sender_id=sender, recipient_id=recipient,
            content=f"content {self.random.randrange(1_000)}", content_type="text", client_id=client_id,
            sent_at=self._now(), as_of=as_of,
        )  # fmt: skip

    def _view(self, pair: tuple[int, int], lag: int | None = None) -> tuple[AsOf, View]:
        """What an edge knows that is so many records behind, and what it can vouch for."""
        partition = self._partition(topics.CONVERSATIONS, f"{pair[0]}:{pair[1]}")
        behind = self.random.choice([0, 0, 0, 1, 4, 12]) if lag is None else lag
        known_to = max(0, self._ends[partition] - behind)
        view = View() if behind else self._now_known[pair]
        for offset, event, counts in self._events[pair] if behind else ():
            if offset < known_to and counts:
                _see(view, event)
        return AsOf(known_to, len(view.messages)), view

    def _converse(self, pair: tuple[int, int], event: ConversationEvent) -> None:
        offset = self._append(event).offset
        counts = _counts(self._now_known[pair], event)
        self._events[pair].append((offset, event, counts))
        if counts:
            _see(self._now_known[pair], event)

    def _append(self, event: AnyEvent) -> Entry:
        sealed = seal(event, ce_id=f"ce-{self._id()}", source="/chat/edges/test", time=self._now())
        assert sealed.key is not None
        return self._put(
            self._partition(event.topic, sealed.key.decode()), sealed.key, sealed.value, tuple(sealed.headers)
        )

    def _put(self, partition: Partition, key: Any, value: Any = None, headers: Any = ()) -> Entry:
        if isinstance(key, tuple):
            key, value, headers = key
        entry = Entry(*partition, self._ends[partition], START + len(self.order), key, value, headers)
        self._ends[partition] += 1
        self.log[partition].append(entry)
        self.order.append(entry)
        return entry

    def _partition(self, topic: str, key: str) -> Partition:
        numbers = list(range(self.partitions))
        return Partition(topic, _PARTITIONER(key.encode(), numbers, numbers))

    def _two(self) -> tuple[tuple[int, int], int, int]:
        pair = self.random.choice(self._pairs)
        user, other = self.random.sample(pair, 2)
        return pair, user, other

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _now(self) -> str:
        return format_time(START + len(self.order) + self.random.randint(-self._clocks_off, self._clocks_off))


def _see(view: View, event: ConversationEvent) -> None:
    match event:
        case ConversationOpened():
            view.id = event.conversation_id
        case MessageSent():
            view.messages.append(event)
            view.clients.add((event.sender_id, event.client_id))
        case ConversationBlocked():
            view.blockers.add(event.user_id)
        case ConversationUnblocked():
            view.blockers.discard(event.user_id)
        case MessageRead():
            pass


def _counts(view: View, event: ConversationEvent) -> bool:
    """Whether it will count, by all that was before it and nobody's word."""
    if isinstance(event, ConversationOpened):
        return view.id is None
    if isinstance(event, MessageSent):
        claimed = (event.sender_id, event.client_id) in view.clients
        return event.conversation_id == view.id and not claimed and not view.blockers
    return view.id is not None


def in_batches(entries: list[Entry], sizes: Callable[[], int]) -> list[list[Entry]]:
    """Cut a partition's records into batches."""
    found, at = [], 0
    while at < len(entries):
        size = max(1, sizes())
        found.append(entries[at : at + size])
        at += size
    return found


Log = Mapping[Partition, list[Entry]]
