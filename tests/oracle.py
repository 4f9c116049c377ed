"""An independent reader of the log: what the read tables must hold, by its own few lines.

It shares no code with the judge, the fold or the tables, and reads records as JSON. It knows the rules from the design:
a message counts unless, since its `as_of`, its client_id was counted or a block is in force, or its `as_of` is too old.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

LIMIT = 5_000
CONVERSATIONS, MODERATION, USERS, LAST_SEEN = "chat.conversations", "chat.moderation", "chat.users", "chat.last-seen"
TABLES = (
    "conversations", "messages", "reads", "inbox", "inbox_totals", "blocked_users", "reports", "users", "last_seen",
    "dead_letters", "differences", "positions",
)  # fmt: skip

Row = tuple[Any, ...]
Tables = dict[str, set[Row]]


class DeadLetter(Exception):
    """A record that says nothing, or contradicts what came before."""


class Pair:
    """What is known of two users: their conversation, and everything that the judge goes by."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.opened_at: str | None = None
        self.opened_offset = 0
        self.messages: list[dict[str, Any]] = []
        self.sent: Counter[int] = Counter()
        self.steps: list[tuple[int, str, Any]] = []  # offset, what, and whose or which client_id
        self.clients: set[tuple[int, str]] = set()
        self.watermarks: dict[int, tuple[int, int, str]] = {}
        self.blocks: dict[int, list[Any]] = {}
        self.unblocked: dict[int, str] = {}
        self.last_offset = 0


class Oracle:
    """Folds records in the order of each partition; `tables()` says what should be in Postgres then."""

    def __init__(self) -> None:
        self.rows: Tables = {name: set() for name in TABLES}
        self.pairs: dict[tuple[int, str], Pair] = {}
        self.users: dict[int, Row] = {}
        self.seen: dict[int, Row] = {}
        self.taken: set[tuple[str, Any]] = set()
        self.positions: dict[tuple[str, int], tuple[int, str | None]] = {}
        self.report_steps: list[tuple[int, int, str, Any]] = []

    def read(self, record: Any) -> None:
        """Take the next record of its partition."""
        headers = {name: value.decode("utf-8", "replace").replace("\x00", "\\x00") for name, value in record.headers}
        kind = headers.get("ce_type", "")
        self.positions[record.topic, record.partition] = (record.offset + 1, headers.get("ce_id"))
        try:
            self._apply(record, kind, bad="x-bad" in headers)
        except DeadLetter:
            self.rows["dead_letters"].add((record.topic, record.partition, record.offset))

    def _apply(self, record: Any, kind: str, *, bad: bool) -> None:
        if bad:
            raise DeadLetter
        value: Any = None if record.value is None else json.loads(record.value)
        {CONVERSATIONS: self._conversation, MODERATION: self._report, USERS: self._user, LAST_SEEN: self._seen}[
            record.topic
        ](record, kind, value)

    def _conversation(self, record: Any, kind: str, value: dict[str, Any]) -> None:
        pair = self.pairs.setdefault((record.partition, record.key.decode()), Pair())
        what = kind.split(".")[2]
        judged = self._judge(record.offset, pair, what, value) if what in ("sent", "opened") else 0
        if judged is None:
            return
        if what == "sent":
            self._sent(record, pair, value, judged)
        elif what == "opened":
            self._opened(record, pair, value)
        elif what == "read":
            self._read(record, pair, value)
        else:
            pair.steps.append((record.offset, what, value["user_id"]))
            self._block(record, pair, what, value)
        pair.last_offset = record.offset

    @staticmethod
    def _judge(offset: int, pair: Pair, what: str, value: dict[str, Any]) -> int | None:
        """Return the number that the writer's word gives a message, or None when the record is void."""
        as_of: dict[str, int] = value["as_of"]
        since = list(takewhile(lambda step: step[0] >= as_of["offset"], reversed(pair.steps)))
        claim = (value["sender_id"], value["client_id"]) if what == "sent" else None
        too_old = not 0 <= offset - as_of["offset"] <= LIMIT
        if too_old or any(step[1:] == (what, claim) for step in since):
            return None
        latest = {whose: did for _, did, whose in reversed(since) if did in ("blocked", "unblocked")}
        if what == "sent" and "blocked" in latest.values():
            return None
        pair.steps.append((offset, what, claim))
        return int(as_of["seq"] + sum(step[1] == "sent" for step in since) + 1)

    def _opened(self, record: Any, pair: Pair, value: dict[str, Any]) -> None:
        if pair.id is not None or not self._take(("conversation", value["conversation_id"])):
            raise DeadLetter
        pair.id, pair.opened_at, pair.opened_offset = value["conversation_id"], value["opened_at"], record.offset

    def _sent(self, record: Any, pair: Pair, value: dict[str, Any], judged: int) -> None:
        claim = (value["sender_id"], value["client_id"])
        if (
            pair.id != value["conversation_id"]
            or claim in pair.clients
            or ("message", value["message_id"]) in self.taken
        ):
            raise DeadLetter
        self._take(("message", value["message_id"]))
        pair.clients.add(claim)
        count = pair.sent[value["sender_id"]] = pair.sent[value["sender_id"]] + 1
        pair.messages.append({**value, "seq": len(pair.messages) + 1, "count": count, "offset": record.offset})
        if judged != len(pair.messages):
            place = (record.topic, record.partition, record.offset, pair.id)
            self.rows["differences"].add((*place, judged, len(pair.messages)))

    def _read(self, record: Any, pair: Pair, value: dict[str, Any]) -> None:
        found = pair.messages[value["up_to_seq"] - 1 : value["up_to_seq"]]
        wanted = (value["conversation_id"], value["message_id"], value["sender_id"])
        if not found or (pair.id, found[0]["message_id"], found[0]["sender_id"]) != wanted:
            raise DeadLetter
        seq, count, reader = found[0]["seq"], found[0]["count"], value["reader_id"]
        if seq > pair.watermarks.get(reader, (0, 0, ""))[0]:
            pair.watermarks[reader] = (seq, count, value["read_at"])
            step = (pair.id, reader, seq, count, value["message_id"], value["read_at"], record.offset)
            self.rows["reads"].add(step)

    def _block(self, record: Any, pair: Pair, what: str, value: dict[str, Any]) -> None:
        if pair.id != value["conversation_id"]:
            raise DeadLetter
        user, other, block = value["user_id"], value["other_user_id"], pair.blocks.get(value["user_id"])
        if what == "blocked" and (block is None or block[4] is not None):
            pair.blocks[user] = [user, pair.id, other, value["blocked_at"], None, record.offset]
            pair.unblocked.pop(user, None)
        elif what == "unblocked" and user not in pair.unblocked:
            pair.unblocked[user] = value["unblocked_at"]
            if block is not None:
                block[4:] = [value["unblocked_at"], record.offset]

    def _report(self, record: Any, _kind: str, value: dict[str, Any]) -> None:
        as_of, pair = value["as_of"]["offset"], record.key.decode()
        claim = (value["user_id"], value["client_id"])
        if not 0 <= record.offset - as_of <= LIMIT:
            return
        if any(
            step[0] == record.partition and step[1] >= as_of and step[2:] == (pair, claim) for step in self.report_steps
        ):
            return
        self.report_steps.append((record.partition, record.offset, pair, claim))
        taken = [("report", value["report_id"]), ("client", (value["conversation_id"], *claim))]
        if "\x00" in value["reason"] or any(one in self.taken for one in taken):
            raise DeadLetter
        self.taken.update(taken)
        fields = (
            "report_id",
            "conversation_id",
            "user_id",
            "reported_user_id",
            "report_type",
            "reason",
            "client_id",
            "reported_at",
        )
        self.rows["reports"].add((*(value[field] for field in fields), record.partition, record.offset))

    def _user(self, record: Any, _kind: str, value: dict[str, Any] | None) -> None:
        user = int(record.key)
        if value is None:
            self.users.pop(user, None)
        else:
            self.users[user] = (user, value["name"], value["photo"], record.offset)

    def _seen(self, record: Any, _kind: str, value: dict[str, Any] | None) -> None:
        user = int(record.key)
        if value is None:
            self.seen.pop(user, None)
        elif user not in self.seen or value["last_seen"] >= self.seen[user][1]:
            self.seen[user] = (user, value["last_seen"], record.offset)

    def _take(self, what: tuple[str, Any]) -> bool:
        new = what not in self.taken
        self.taken.add(what)
        return new

    def tables(self) -> Tables:
        """Return the rows that each table must hold."""
        rows = {name: set(found) for name, found in self.rows.items()}
        rows["users"], rows["last_seen"] = set(self.users.values()), set(self.seen.values())
        rows["positions"] = {(*place, *at) for place, at in self.positions.items()}
        totals: Counter[tuple[int, int]] = Counter()
        for (partition, key), pair in self.pairs.items():
            if pair.id is not None:
                self._add_conversation(rows, partition, [int(user) for user in key.split(":")], pair)
                totals.update((int(user), partition) for user in key.split(":"))
        rows["inbox_totals"] = {(*place, total) for place, total in totals.items()}
        return rows

    @staticmethod
    def _add_conversation(rows: Tables, partition: int, users: Sequence[int], pair: Pair) -> None:
        last = pair.messages[-1] if pair.messages else None
        updated_at = last["sent_at"] if last else pair.opened_at
        read = [value for user in users for value in pair.watermarks.get(user, (0, 0, None))]
        blocks = [time for user in users for time in (pair.blocks.get(user, [None] * 4)[3], pair.unblocked.get(user))]
        rows["conversations"].add(
            (pair.id, partition, *users, pair.opened_at, len(pair.messages), *(pair.sent[user] for user in users),
             *read, *blocks, last and last["content"], last and last["sender_id"], updated_at, pair.last_offset)
        )  # fmt: skip
        fields = (
            "seq",
            "message_id",
            "sender_id",
            "count",
            "content",
            "content_type",
            "client_id",
            "sent_at",
            "offset",
        )
        rows["messages"].update((pair.id, *(message[field] for field in fields)) for message in pair.messages)
        rows["inbox"].update((user, pair.id, updated_at, pair.opened_offset) for user in users)
        rows["blocked_users"].update(tuple(block) for block in pair.blocks.values())


def expected(log: Mapping[Any, Sequence[Any]]) -> Tables:
    """Return what the tables must hold after these records, by partition and in order."""
    oracle = Oracle()
    for records in log.values():
        for record in records:
            oracle.read(record)
    return oracle.tables()
