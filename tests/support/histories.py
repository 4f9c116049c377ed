"""A small world around one partition: edges that lag, die and forget, a projection that lags, appends in any order.

Edges judge with the real judge and fold with the real conversation; `Ledger` is a plain fold of the whole log that
knows no window. Every step checks what must hold; tests/unit/schemas/test_judge_histories.py drives it.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from msgspec.structs import replace

from schemas import judge
from schemas.conversation import Conversation, apply
from schemas.events import (
    AsOf,
    ConversationBlocked,
    ConversationEvent,
    ConversationOpened,
    ConversationUnblocked,
    MessageSent,
    key_of,
)
from schemas.ids import pair_key
from schemas.judge import Judge, Judgement, Verdict

TIME = "2026-01-31T12:00:00.000Z"
PAIRS = ((1, 2), (1, 3))

Claim = tuple[str, int, str]
"""A pair's key, a sender and a client_id."""


class Answer(NamedTuple):
    """What an edge told a client."""

    asked: Claim | str
    verdict: Verdict
    seq: int
    told: int


class Ledger:
    """The fold of the whole log up to `position`, by the contract's rules and nothing else."""

    def __init__(self) -> None:
        self.position = 0
        self.conversations: dict[str, Conversation] = {}
        self.opened: dict[str, int] = {}
        self.claimed: dict[Claim, int] = {}
        self.blockers: defaultdict[str, set[int]] = defaultdict(set)
        self.last_seq: Counter[str] = Counter()

    def take(self, event: ConversationEvent) -> Judgement:
        """Fold the next record."""
        judgement = self._judge(self.position, event)
        self.position += 1
        if judgement.verdict is Verdict.COUNTED:
            self._count(event)
        return judgement

    def _judge(self, offset: int, event: ConversationEvent) -> Judgement:
        if not isinstance(event, MessageSent | ConversationOpened):
            return Judgement(Verdict.COUNTED)
        key = key_of(event) or ""
        if offset - event.as_of.offset > judge.LIMIT:
            return Judgement(Verdict.STALE)
        if isinstance(event, ConversationOpened):
            first = self.opened.get(key)
            return Judgement(Verdict.COUNTED) if first is None else Judgement(Verdict.DUPLICATE, first=first)
        first = self.claimed.get((key, event.sender_id, event.client_id))
        if first is not None:
            return Judgement(Verdict.DUPLICATE, first=first)
        if self.blockers[key]:
            return Judgement(Verdict.BLOCKED)
        return Judgement(Verdict.COUNTED, seq=self.last_seq[key] + 1)

    def _count(self, event: ConversationEvent) -> None:
        key = key_of(event) or ""
        match event:
            case ConversationOpened():
                self.opened[key] = event.conversation_id
            case MessageSent():
                self.claimed[key, event.sender_id, event.client_id] = event.message_id
                self.last_seq[key] += 1
            case ConversationBlocked():
                self.blockers[key].add(event.user_id)
            case ConversationUnblocked():
                self.blockers[key].discard(event.user_id)
            case _:
                pass
        before = self.conversations.get(key)
        self.conversations[key] = apply(None if before is None else copied(before), event)


class Edge:
    """One edge: its tail, its judge, what it remembers, the conversations it has loaded, its commands under way."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.judge = Judge()
        self.act = world.tables.position
        self.position = max(0, self.act - judge.WINDOW)
        self.remembered: list[tuple[int, ConversationEvent]] = []
        self.conversations: dict[str, Conversation | None] = {}
        self.claims: dict[str, dict[tuple[int, str], int]] = {}
        self.under_way: dict[int, Claim | str] = {}
        while self.position < self.act:
            self.judge.judge(self.position, world.log[self.position])
            self.position += 1

    def read(self) -> None:
        """Take the next record of the log, if there is one."""
        if self.position == len(self.world.log):
            return
        offset, event = self.position, self.world.log[self.position]
        judgement = self.judge.judge(offset, event)
        self.position += 1
        assert judgement == self.world.truth[offset], f"an edge and the whole log differ at {offset}: {event}"
        key = key_of(event) or ""
        if judgement.verdict is Verdict.COUNTED:
            self.remembered.append((offset, event))
            if key in self.conversations:
                self._fold(key, event)
        self._answer(event, judgement)

    def load(self, key: str) -> bool:
        """Load a pair's row as of the tables, then add what the tail has seen since; False when that is not known."""
        if key in self.conversations:
            return True
        tables = self.world.tables
        if tables.position > self.position:
            return False
        row = tables.conversations.get(key)
        self.conversations[key] = None if row is None else copied(row)
        self.claims[key] = {claim[1:]: number for claim, number in tables.claimed.items() if claim[0] == key}
        for offset, event in self.remembered:
            if offset >= tables.position and key_of(event) == key:
                self._fold(key, event)
        return True

    def open(self, pair: tuple[int, int]) -> None:
        """Open the pair's conversation, unless it is known to have one."""
        key = pair_key(*pair)
        if self.load(key) and self.conversations[key] is None:
            number = self.world.new_id()
            self.under_way[number] = key
            self.world.appending.append(
                ConversationOpened(
                    conversation_id=number,
                    user_id=pair[0],
                    other_user_id=pair[1],
                    opened_at=TIME,
                    as_of=AsOf(self.position),
                )
            )

    def send(self, pair: tuple[int, int], client_id: str) -> None:
        """Send a message from the first to the second of the pair, as far as what is known allows it."""
        key, claim = pair_key(*pair), (pair[0], client_id)
        if not self.load(key) or (conversation := self.conversations[key]) is None:
            return
        if claim in self.claims[key]:
            self.world.answers.append(Answer((key, *claim), Verdict.DUPLICATE, 0, self.claims[key][claim]))
        elif not conversation.blocked:
            number = self.world.new_id()
            self.under_way[number] = (key, *claim)
            self.world.appending.append(
                MessageSent(
                    message_id=number,
                    conversation_id=conversation.id,
                    sender_id=pair[0],
                    recipient_id=pair[1],
                    content="x",
                    content_type="text",
                    client_id=client_id,
                    sent_at=TIME,
                    as_of=AsOf(self.position, conversation.last_seq),
                )
            )

    def block(self, pair: tuple[int, int], *, back: bool) -> None:
        """Block, or take a block back; both may be repeated."""
        key = pair_key(*pair)
        if not self.load(key) or (known := self.conversations[key]) is None:
            return
        conversation, user, other = known.id, pair[0], pair[1]
        self.world.appending.append(
            ConversationUnblocked(conversation_id=conversation, user_id=user, other_user_id=other, unblocked_at=TIME)
            if back
            else ConversationBlocked(conversation_id=conversation, user_id=user, other_user_id=other, blocked_at=TIME)
        )

    def _fold(self, key: str, event: ConversationEvent) -> None:
        self.conversations[key] = apply(self.conversations[key], event)
        if isinstance(event, MessageSent):
            self.claims[key][event.sender_id, event.client_id] = event.message_id

    def _answer(self, event: ConversationEvent, judgement: Judgement) -> None:
        match event:
            case MessageSent():
                number = event.message_id
            case ConversationOpened():
                number = event.conversation_id
            case _:
                return
        asked = self.under_way.pop(number, None)
        if asked is not None:
            told = number if judgement.verdict is Verdict.COUNTED else judgement.first
            self.world.answers.append(Answer(asked, judgement.verdict, judgement.seq, told))


class World:
    """The log, what is about to be appended to it, the tables, and the edges."""

    def __init__(self, edges: int) -> None:
        self.log: list[ConversationEvent] = []
        self.truth: list[Judgement] = []
        self.appending: list[ConversationEvent] = []
        self.answers: list[Answer] = []
        self.whole, self.tables = Ledger(), Ledger()
        self._ids = 0
        self.edges = [Edge(self) for _ in range(edges)]

    def new_id(self) -> int:
        self._ids += 1
        return self._ids

    def append(self, number: int) -> None:
        """Let the broker append one of those that are under way, in any order."""
        if self.appending:
            self.log.append(self.appending.pop(number % len(self.appending)))
            self.truth.append(self.whole.take(self.log[-1]))

    def project(self, records: int) -> None:
        """Let the projection take some records."""
        for event in self.log[self.tables.position : self.tables.position + records]:
            self.tables.take(event)

    def restart(self, number: int) -> None:
        """Kill an edge and start another in its place."""
        self.edges[number] = Edge(self)

    def check(self) -> None:
        """Read everything to its end and hold it against the log."""
        while self.appending:
            self.append(0)
        for edge in self.edges:
            while edge.position < len(self.log):
                edge.read()
            for key, conversation in edge.conversations.items():
                assert conversation == self.whole.conversations.get(key)
        for asked, verdict, seq, told in self.answers:
            first = self.whole.opened.get(asked) if isinstance(asked, str) else self.whole.claimed.get(asked)
            if verdict in (Verdict.COUNTED, Verdict.DUPLICATE):
                assert told == first, f"{asked} was told {told}, but {first} counts"
            if verdict is Verdict.COUNTED and not isinstance(asked, str):
                assert 1 <= seq <= self.whole.last_seq[asked[0]]


def copied(conversation: Conversation) -> Conversation:
    """Return a copy that can be folded on by itself."""
    first, second = conversation.members
    return replace(conversation, members=(replace(first), replace(second)))
