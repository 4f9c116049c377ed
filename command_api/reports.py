"""Report the other user of a conversation to the moderators: once for each client_id, a few a day."""

import asyncio
import secrets
from typing import NamedTuple
from weakref import WeakValueDictionary

from command_api.conversations import Conversations
from command_api.ids import Ids
from command_api.limits import Limits
from command_api.loads import Loads
from infra.edge import Edge
from infra.memory import Entry
from schemas.errors import ChatError, Code, Unavailable
from schemas.events import AsOf, ReportFiled
from schemas.ids import Partition
from schemas.judge import Verdict
from schemas.requests import FileReport
from schemas.times import Time, write_time
from schemas.topics import MODERATION


class Reported(NamedTuple):
    """A report that is in the log and counts; `entry` is its record, None when it was there already."""

    report_id: int
    reported_at: Time
    partition: Partition
    entry: Entry | None


class Reports:
    """The command `file`."""

    def __init__(self, edge: Edge, conversations: Conversations, loads: Loads, ids: Ids, limits: Limits) -> None:
        self._conversations = conversations
        self._loads = loads
        self._ids = ids
        self._limits = limits.reports
        self._appender = edge.appender
        self._tail = edge.tail
        self._clock = edge.clock
        self._turns: WeakValueDictionary[tuple[int, int, str], asyncio.Lock] = WeakValueDictionary()

    async def file(self, user_id: int, conversation_id: int, request: FileReport) -> Reported:
        """File a report about the other; a retry is told the first one. ChatError when it is refused."""
        if request.client_id is None:
            return await self._file(user_id, conversation_id, request)
        # A retry that comes while the first one is under way is that one, and not one more of the day's.
        report = (conversation_id, user_id, request.client_id)
        turn = self._turns.setdefault(report, asyncio.Lock())
        async with turn:
            return await self._file(user_id, conversation_id, request)

    async def _file(self, user_id: int, conversation_id: int, request: FileReport) -> Reported:
        known = await self._conversations.get(conversation_id)
        other = known.conversation.other(known.member(user_id).user_id)
        partition = self._appender.partition_of(MODERATION, known.conversation.key.encode())
        client_id = request.client_id or secrets.token_hex(12)
        as_of = AsOf(self._tail.positions[partition])  # what is looked up next is at least as new
        if request.client_id is not None:
            first = await self._first(partition, conversation_id, user_id, request)
            if first is not None:
                return first
        await self._ids.ready()
        self._limits.check(user_id)
        event = ReportFiled(
            report_id=self._ids.take(),
            conversation_id=conversation_id,
            user_id=user_id,
            reported_user_id=other.user_id,
            report_type=request.report_type,
            reason=request.reason,
            client_id=client_id,
            reported_at=self._clock.now_text(),
            as_of=as_of,
        )
        self._limits.begin(user_id)
        try:
            entry = await self._appender.append_and_observe(event)
        finally:
            self._limits.end(user_id)
        match entry.judgement.verdict:
            case Verdict.COUNTED:
                return Reported(event.report_id, event.reported_at, partition, entry)
            case Verdict.DUPLICATE:
                first = await self._first(partition, conversation_id, user_id, request)
                if first is not None:
                    return first
        raise Unavailable("try again with the same Idempotency-Key")

    async def _first(
        self, partition: Partition, conversation_id: int, user_id: int, request: FileReport
    ) -> Reported | None:
        """Return the counted report with this client_id, as of the tail's position."""
        client_id = request.client_id or ""
        row, stored = await self._loads.report(partition.partition, conversation_id, user_id, client_id)
        await self._tail.reach({partition: stored})
        if row is not None:
            said = (row["report_type"], row["reason"])
            return _same(partition, row["id"], write_time(row["reported_at"]), said, request)
        memory = self._tail.memories[partition]
        memory.check_covers(stored)
        for entry in memory.since(stored):
            event = entry.event
            if (
                entry.counted
                and isinstance(event, ReportFiled)
                and (event.conversation_id, event.user_id, event.client_id) == (conversation_id, user_id, client_id)
            ):
                said = (event.report_type, event.reason)
                return _same(partition, event.report_id, event.reported_at, said, request)
        return None


def _same(
    partition: Partition, report_id: int, reported_at: Time, said: tuple[str, str], request: FileReport
) -> Reported:
    if said != (request.report_type, request.reason):
        raise ChatError(
            Code.CLIENT_ID_CONFLICT,
            "another report has this client_id",
            {"client_id": f"is used by report_{report_id}"},
        )
    return Reported(report_id, reported_at, partition, None)
