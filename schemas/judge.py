"""The judge: which records of a partition count, and the number of each message.

Kafka has no "append if nothing changed", so a record carries `as_of`: the point up to which its writer had folded the
partition when it checked. Reading the partition in order with a window of its last records, anyone reaches the same
verdict: edges, projections, an analyst. Pure: no clock, no I/O. docs/decisions/0002-as-of-and-the-judge.md has the why.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

from msgspec import Struct

from schemas.events import (
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    Fact,
    MessageSent,
    ReportFiled,
    key_of,
)

LIMIT = 5_000
"""The oldest `as_of`, in offsets before the record itself."""

WINDOW = 3 * LIMIT
"""Offsets that a reader starts early: a record's evidence reaches LIMIT back, and that evidence needs evidence.

What a block from before the start made void may seem to count for LIMIT offsets, may void there what does count, and a
retry of that may seem to count for LIMIT more (docs/decisions/0002-as-of-and-the-judge.md).
"""


class Verdict(StrEnum):
    """Whether a record counts; a void one changes nothing and claims nothing."""

    COUNTED = "counted"
    DUPLICATE = "void: duplicate"
    BLOCKED = "void: blocked"
    STALE = "void: stale as_of"


class Judgement(Struct, frozen=True, gc=False):
    """A verdict; `seq` numbers a counted message, `first` is the id that counts instead of a duplicate's."""

    verdict: Verdict
    seq: int = 0
    first: int = 0


COUNTED = Judgement(Verdict.COUNTED)
_STALE = Judgement(Verdict.STALE)
_BLOCKED = Judgement(Verdict.BLOCKED)


class Claimed(Struct, frozen=True, gc=False):
    """A counted record that claimed what can be claimed once: a user's client_id, or (user 0) the opening of a pair."""

    offset: int
    key: str
    user_id: int
    client_id: str
    id: int

    def repeats(self, other: "Claimed") -> bool:
        return self.user_id == other.user_id and self.client_id == other.client_id


class Changed(Struct, frozen=True, gc=False):
    """A block, or the end of one."""

    offset: int
    key: str
    event: ConversationBlocked | ConversationUnblocked


Evidence = Claimed | Changed
"""Not looked at by the garbage collector: a window holds tens of thousands, and nothing in them points back."""


class Judge:
    """Reads one partition of one topic in order and keeps its last WINDOW offsets in mind."""

    def __init__(self) -> None:
        self._evidence: dict[str, deque[Evidence]] = {}
        self._order: deque[Evidence] = deque()

    def judge(self, offset: int, event: Fact | None) -> Judgement:
        """Take the next record; None stands for one that could not be decoded. Offsets must only grow."""
        self._forget(offset - WINDOW)
        match event:
            case MessageSent():
                key = key_of(event) or ""
                return self._message(event, Claimed(offset, key, event.sender_id, event.client_id, event.message_id))
            case ConversationOpened():
                return self._claim(event, Claimed(offset, key_of(event) or "", 0, "", event.conversation_id))
            case ReportFiled():
                key = key_of(event) or ""
                return self._claim(event, Claimed(offset, key, event.user_id, event.client_id, event.report_id))
            case ConversationBlocked() | ConversationUnblocked():
                self._remember(Changed(offset, key_of(event) or "", event))
                return COUNTED
            case _:
                return COUNTED

    def _message(self, event: MessageSent, claim: Claimed) -> Judgement:
        if not 0 <= claim.offset - event.as_of.offset <= LIMIT:
            return _STALE
        blockers: set[int] = set()
        counted = 0
        for evidence in from_offset(self._evidence.get(claim.key, ()), event.as_of.offset):
            if isinstance(evidence, Claimed):
                if evidence.repeats(claim):
                    return Judgement(Verdict.DUPLICATE, first=evidence.id)
                if evidence.user_id:
                    counted += 1
            elif isinstance(evidence.event, ConversationBlocked):
                blockers.add(evidence.event.user_id)
            else:
                blockers.discard(evidence.event.user_id)
        if blockers:
            return _BLOCKED
        self._remember(claim)
        return Judgement(Verdict.COUNTED, seq=event.as_of.seq + counted + 1)

    def _claim(self, event: ConversationOpened | ReportFiled, claim: Claimed) -> Judgement:
        if not 0 <= claim.offset - event.as_of.offset <= LIMIT:
            return _STALE
        for evidence in from_offset(self._evidence.get(claim.key, ()), event.as_of.offset):
            if isinstance(evidence, Claimed) and evidence.repeats(claim):
                return Judgement(Verdict.DUPLICATE, first=evidence.id)
        self._remember(claim)
        return COUNTED

    def _remember(self, evidence: Evidence) -> None:
        self._evidence.setdefault(evidence.key, deque()).append(evidence)
        self._order.append(evidence)

    def _forget(self, before: int) -> None:
        while self._order and self._order[0].offset < before:
            key = self._order.popleft().key
            of_key = self._evidence[key]
            of_key.popleft()
            if not of_key:
                del self._evidence[key]


class Placed(Protocol):
    """What lies at an offset."""

    @property
    def offset(self) -> int: ...


P = TypeVar("P", bound=Placed)


def from_offset(kept: Sequence[P], offset: int) -> list[P]:
    """Return those from `offset` on, in order; costs by how many they are, not by how many lie before them."""
    found: list[P] = []
    for one in reversed(kept):
        if one.offset < offset:
            break
        found.append(one)
    found.reverse()
    return found
