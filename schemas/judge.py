"""The judge: which records of a partition count, and the number of each message.

Kafka has no "append if nothing changed", so a record carries `as_of`: the point up to which its writer had folded the
partition when it checked. Reading the partition in order with a window of its last records, anyone reaches the same
verdict: edges, projections, an analyst. Pure: no clock, no I/O. docs/decisions/0002-as-of-and-the-judge.md has the why.
"""

from collections import deque
from enum import StrEnum

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

Claim = tuple[int, str] | None
"""What can be claimed once: (user, client_id) of a message or report, or None for the opening of a pair."""

Claimed = tuple[Claim, int]
"""A counted claim and its id."""

Evidence = tuple[int, ConversationBlocked | ConversationUnblocked | Claimed]


class Judge:
    """Reads one partition of one topic in order and keeps its last WINDOW offsets in mind."""

    def __init__(self) -> None:
        self._evidence: dict[str, deque[Evidence]] = {}
        self._order: deque[tuple[int, str]] = deque()

    def judge(self, offset: int, event: Fact | None) -> Judgement:
        """Take the next record; None stands for one that could not be decoded. Offsets must only grow."""
        if self._order and self._order[0][0] < offset - WINDOW:
            self._forget(offset - WINDOW)
        match event:
            case MessageSent():
                return self._message(offset, event)
            case ConversationOpened():
                return self._claim(offset, event, None, event.conversation_id)
            case ReportFiled():
                return self._claim(offset, event, (event.user_id, event.client_id), event.report_id)
            case ConversationBlocked() | ConversationUnblocked():
                self._remember(offset, key_of(event) or "", event)
                return COUNTED
            case _:
                return COUNTED

    def _message(self, offset: int, event: MessageSent) -> Judgement:
        if not 0 <= offset - event.as_of.offset <= LIMIT:
            return _STALE
        key = key_of(event) or ""
        claim = (event.sender_id, event.client_id)
        blockers: set[int] = set()
        counted = 0
        for entry in self._since(key, event.as_of.offset):
            match entry:
                case ConversationBlocked():
                    blockers.add(entry.user_id)
                case ConversationUnblocked():
                    blockers.discard(entry.user_id)
                case (None, _):
                    continue
                case (claimed, first):
                    if claimed == claim:
                        return Judgement(Verdict.DUPLICATE, first=first)
                    counted += 1
        if blockers:
            return _BLOCKED
        self._remember(offset, key, (claim, event.message_id))
        return Judgement(Verdict.COUNTED, seq=event.as_of.seq + counted + 1)

    def _claim(self, offset: int, event: ConversationOpened | ReportFiled, claim: Claim, claimed_id: int) -> Judgement:
        if not 0 <= offset - event.as_of.offset <= LIMIT:
            return _STALE
        key = key_of(event) or ""
        for entry in self._since(key, event.as_of.offset):
            if isinstance(entry, tuple) and entry[0] == claim:
                return Judgement(Verdict.DUPLICATE, first=entry[1])
        self._remember(offset, key, (claim, claimed_id))
        return COUNTED

    def _since(self, key: str, start: int) -> list[ConversationBlocked | ConversationUnblocked | Claimed]:
        found = []
        for offset, entry in reversed(self._evidence.get(key, ())):
            if offset < start:
                break
            found.append(entry)
        found.reverse()
        return found

    def _remember(self, offset: int, key: str, entry: ConversationBlocked | ConversationUnblocked | Claimed) -> None:
        self._evidence.setdefault(key, deque()).append((offset, entry))
        self._order.append((offset, key))

    def _forget(self, before: int) -> None:
        while self._order and self._order[0][0] < before:
            _, key = self._order.popleft()
            of_key = self._evidence[key]
            of_key.popleft()
            if not of_key:
                del self._evidence[key]
