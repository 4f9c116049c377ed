"""What one batch does to the tables, as rows: what a fold returns and a transaction writes. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from projections.statement import Row, Statement
from projections.tables import (
    blocked_users,
    conversations,
    dead_letters,
    differences,
    inbox,
    last_seen,
    messages,
    reads,
    reports,
    users,
)

Write = tuple[Statement, Collection[Row]]


@dataclass(slots=True)
class Changes:
    """Rows by table; where later rows replace earlier ones, only the last is here.

    `opened`: new conversations by id, and the offsets at which they were opened.
    """

    partition: int
    opened: dict[int, int] = field(default_factory=dict)
    new_conversations: list[conversations.Row] = field(default_factory=list)
    changed_conversations: list[conversations.Row] = field(default_factory=list)
    new_messages: list[messages.Row] = field(default_factory=list)
    new_reads: list[reads.Row] = field(default_factory=list)
    changed_blocks: dict[tuple[int, int], blocked_users.Row] = field(default_factory=dict)
    new_in_inbox: list[inbox.Row] = field(default_factory=list)
    moved_in_inbox: list[inbox.Move] = field(default_factory=list)
    totals: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    new_reports: list[reports.Row] = field(default_factory=list)
    changed_users: dict[int, users.Row] = field(default_factory=dict)
    erased_users: set[users.Erased] = field(default_factory=set)
    changed_last_seen: dict[int, last_seen.Row] = field(default_factory=dict)
    erased_last_seen: set[last_seen.Erased] = field(default_factory=set)
    new_dead_letters: list[dead_letters.Row] = field(default_factory=list)
    new_differences: list[differences.Row] = field(default_factory=list)

    @property
    def apart(self) -> bool:
        """Whether no row is touched by two of the writes, so that they may be one statement."""
        return not (self.erased_last_seen and self.changed_last_seen)

    def writes(self, *, filling: bool = False) -> list[Write]:
        """Return the statements and their rows, in the order in which they must run; none without rows.

        `filling`: without what is made once in the end (filling.py).
        """
        return [
            (statement, rows)
            for statement, rows in self._all_writes()
            if rows and not (filling and statement is inbox.UPDATE)
        ]

    def _all_writes(self) -> Iterator[Write]:
        yield conversations.INSERT, self.new_conversations
        yield conversations.UPDATE, self.changed_conversations
        yield messages.INSERT, self.new_messages
        yield reads.INSERT, self.new_reads
        yield blocked_users.UPSERT, self.changed_blocks.values()
        yield inbox.INSERT, self.new_in_inbox
        yield inbox.UPDATE, self.moved_in_inbox
        yield inbox.ADD_TOTALS, [inbox.Total(user, self.partition, added) for user, added in self.totals.items()]
        yield reports.INSERT, self.new_reports
        # What is erased goes before what came after it.
        yield users.DELETE, self.erased_users
        yield users.UPSERT, self.changed_users.values()
        yield last_seen.DELETE, self.erased_last_seen
        yield last_seen.UPSERT, self.changed_last_seen.values()
        yield dead_letters.INSERT, self.new_dead_letters
        yield differences.INSERT, self.new_differences
