"""Mark messages as read: a watermark that only moves forward, told as the first time it reached the message."""

from typing import NamedTuple

from command_api.conversations import Conversations
from command_api.deliver import Deliver
from command_api.kept import Known
from command_api.loads import Loads
from infra.edge import Edge
from infra.memory import Entry
from schemas.errors import ChatError, Code, Failed, Unavailable, forbidden
from schemas.events import MessageRead, MessageSent
from schemas.ids import Partition, Position
from schemas.times import Time


class ReadMarked(NamedTuple):
    """The message is read, since `read_at`; `position` is that of the record, None when that was so already."""

    conversation_id: int
    message_id: int
    seq: int
    read_at: Time
    partition: Partition
    position: Position | None


class _Target(NamedTuple):
    message_id: int
    conversation_id: int
    seq: int
    sender_id: int


class _UnderWay(NamedTuple):
    """A mark that is on its way to the log, and whoever asked for no more than it meanwhile."""

    seq: int
    others: list[tuple[_Target, Deliver[ReadMarked]]]


class Reads:
    """The command `mark`."""

    def __init__(self, edge: Edge, conversations: Conversations, loads: Loads) -> None:
        self._conversations = conversations
        self._loads = loads
        self._appender = edge.appender
        self._tail = edge.tail
        self._clock = edge.clock
        self._background = edge.background
        self._under_way: dict[tuple[int, int], _UnderWay] = {}

    async def mark(
        self, user_id: int, message_id: int, deliver: Deliver[ReadMarked], *, origin: object | None = None
    ) -> None:
        """Mark a message and all earlier ones of the other as read; by their recipient only.

        Returns when the record is in line, `deliver` is called with the outcome. Raises ChatError when it is refused
        before the log. `origin` comes back on the tail's entry.
        """
        target = await self._find(message_id)
        known = await self._conversations.get(target.conversation_id)
        member = known.member(user_id)
        if target.sender_id == user_id:
            raise forbidden("only its recipient marks a message as read")
        if member.read_seq >= target.seq:
            deliver(await self._marked(known, user_id, target))
            return
        under_way = self._under_way.get((target.conversation_id, user_id))
        if under_way is not None and under_way.seq >= target.seq:
            under_way.others.append((target, deliver))
        else:
            self._append(known, user_id, target, deliver, origin)

    def _append(
        self, known: Known, reader_id: int, target: _Target, deliver: Deliver[ReadMarked], origin: object | None
    ) -> None:
        member = known.member(reader_id)
        event = MessageRead(
            message_id=target.message_id,
            conversation_id=target.conversation_id,
            reader_id=reader_id,
            sender_id=target.sender_id,
            up_to_seq=target.seq,
            read_at=self._clock.now_text(),
        )
        who = (target.conversation_id, reader_id)
        under_way = self._under_way[who] = _UnderWay(target.seq, [])

        def observed(entry: Entry | None) -> None:
            self._end(known, who, under_way)
            others = under_way.others
            if entry is not None and member.read_seq == target.seq and member.read_at == event.read_at:
                deliver(
                    ReadMarked(
                        target.conversation_id,
                        target.message_id,
                        target.seq,
                        event.read_at,
                        known.partition,
                        entry.position,
                    )
                )
            else:
                others = [(target, deliver), *others]
            for other, told in others:
                if entry is None:
                    told(Unavailable("the outcome is unknown"))
                else:
                    work = self._deliver_first(known, reader_id, other, told)
                    self._background.spawn(work, "the answer to a read")

        known.pins += 1
        try:
            self._appender.append(event, observed, origin=origin)
        except BaseException:
            self._end(known, who, under_way)
            raise

    def _end(self, known: Known, who: tuple[int, int], under_way: _UnderWay) -> None:
        known.pins -= 1
        if self._under_way.get(who) is under_way:
            del self._under_way[who]

    async def _deliver_first(self, known: Known, reader_id: int, target: _Target, deliver: Deliver[ReadMarked]) -> None:
        """Answer for a read that another one overtook."""
        try:
            marked = await self._marked(known, reader_id, target)
        except ChatError as error:
            deliver(error)
        except Exception:
            deliver(Failed())
            raise
        else:
            deliver(marked)

    async def _marked(self, known: Known, reader_id: int, target: _Target) -> ReadMarked:
        """Tell of a message that was read already."""
        with known:
            read_at = await self._first_read(known, reader_id, target.seq)
        return ReadMarked(target.conversation_id, target.message_id, target.seq, read_at, known.partition, None)

    async def _find(self, message_id: int) -> _Target:
        if (target := self._remembered(message_id)) is not None:
            return target
        row = await self._loads.message(message_id)
        if row is None:
            await self._conversations.after_all_now()
            if (target := self._remembered(message_id)) is not None:
                return target
            row = await self._loads.message(message_id)
        if row is None:
            raise ChatError(Code.MESSAGE_NOT_FOUND, "there is no such message")
        return _Target(message_id, row["conversation_id"], row["seq"], row["sender_id"])

    def _remembered(self, message_id: int) -> _Target | None:
        for memory in self._tail.memories.values():
            entry = memory.message(message_id)
            if entry is not None and isinstance(entry.event, MessageSent):
                return _Target(message_id, entry.event.conversation_id, entry.judgement.seq, entry.event.sender_id)
        return None

    async def _first_read(self, known: Known, reader_id: int, seq: int) -> Time:
        """Return when the watermark first reached `seq`: its own time, or that of the earliest read at or past it."""
        member = known.member(reader_id)
        if member.read_seq == seq and member.read_at is not None:
            return member.read_at
        number = known.partition.partition
        read_at, stored = await self._loads.first_read(number, known.conversation.id, reader_id, seq)
        if read_at is not None:
            return read_at
        memory = self._tail.memories[known.partition]
        memory.check_covers(stored)
        for entry in memory.of_key(known.conversation.key, stored):
            event = entry.event
            if isinstance(event, MessageRead) and event.reader_id == reader_id and event.up_to_seq >= seq:
                return event.read_at
        raise Unavailable("nothing tells when the message was read")
