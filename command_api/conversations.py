"""The one kind of state that an edge has about conversations: a loaded row plus everything the tail has seen since.

Commands check against it, caches hang on it, and it is exactly as new as the tail. What is kept of it is in kept.py,
what it is loaded by in loads.py; the fold is schemas/conversation.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from command_api.client_ids import ClientIds
from command_api.kept import Kept, Known
from command_api.loads import Loaded, Loads
from infra.edge import Edge
from infra.memory import Entry, Memory
from schemas.conversation import apply
from schemas.errors import ChatError, Code, Unavailable
from schemas.events import ConversationOpened, key_of
from schemas.ids import Partition, pair_key
from schemas.topics import CONVERSATIONS

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""How long a command waits for the tail or the projections before it answers 503."""

IDS_FOR_A_QUESTION = 200
"""How many client_ids are loaded in the time that it takes to ask for one."""

MOST_LEARNED = 20_000
"""So many stop an edge for 10 ms; of a longer conversation that was loaded each new client_id is asked for."""


class Conversations:
    """The conversations in memory, by id and by pair."""

    def __init__(self, edge: Edge, loads: Loads) -> None:
        self._tail = edge.tail
        self._tables = edge.tables
        self._appender = edge.appender
        self._background = edge.background
        self._loads = loads
        self._kept = Kept()
        self._loading: dict[int | str, asyncio.Task[Known | None]] = {}
        self._tables.live.on_change(self._kept.drop)

    def fold(self, entry: Entry) -> None:
        """Take the next counted event of a conversation, and mark it where it is known to be inapplicable."""
        event = entry.event
        if event is None:
            return
        known = self._kept.of_key(key_of(event) or "")
        if known is not None:
            applied = self._kept.fold(known, event)  # type: ignore[arg-type]  # the topic has these events only
            entry.inapplicable = not applied
        elif isinstance(event, ConversationOpened):
            self._kept.add(Known(apply(None, event), entry.partition, ClientIds(), complete=True))

    def kept(self, conversation_id: int) -> Known | None:
        """Return a conversation that is in memory already."""
        return self._kept.of_id(conversation_id)

    async def get(self, conversation_id: int) -> Known:
        """Return a conversation; ChatError CONVERSATION_NOT_FOUND, or Unavailable when it cannot be known now."""
        # What is loaded may be forgotten again, for another generation, before whoever asked for it has it.
        while (known := self.kept(conversation_id)) is None:
            if await self._load_once(conversation_id, lambda: self._load(conversation_id)) is None:
                raise ChatError(Code.CONVERSATION_NOT_FOUND, "there is no such conversation")
        return known

    async def of_pair(self, user_id: int, other_user_id: int) -> Known | None:
        """Return the conversation of two users, or None when they have none as of the tail's position."""
        key = pair_key(user_id, other_user_id)
        return self._kept.of_key(key) or await self._load_once(key, lambda: self._load_pair(key))

    def asked_about(self, known: Known) -> None:
        """Take note that a client_id was asked for; all are loaded once that has cost as much as loading them."""
        known.asked += 1
        if known.conversation.last_seq <= known.asked * IDS_FOR_A_QUESTION:
            known.asked = 0
            self._learn_soon(known)

    async def reach_end(self, partition: Partition) -> None:
        """Wait until the tail has read this partition's end as it is now, so that a refusal is not out of date."""
        if not await self._tail.passed(await self._tail.ends([partition]), PATIENCE_SECONDS):
            raise Unavailable("this edge is behind the log")

    async def after_all_now(self, *also: str) -> None:
        """Wait until tail and projections have passed the end of the log (and of other topics) as it is now.

        Unavailable when they do not.
        """
        ends = await self._tail.ends(p for p in self._tail.positions if p.topic in (CONVERSATIONS, *also))
        if not await self._tail.passed(ends, PATIENCE_SECONDS) or not await self._tables.passed(ends, PATIENCE_SECONDS):
            raise Unavailable("the read tables are behind the log")

    async def _load_once(self, what: int | str, load: Callable[[], Awaitable[Known | None]]) -> Known | None:
        task = self._loading.get(what)
        if task is None:
            task = self._loading[what] = asyncio.ensure_future(self._load_live(load))
            task.add_done_callback(lambda _: self._loading.pop(what))
        return await asyncio.shield(task)

    async def _load_live(self, load: Callable[[], Awaitable[Known | None]]) -> Known | None:
        """Load, and take note if another generation has become live meanwhile."""
        schema = self._tables.live.schema
        known = await load()
        if known is not None and self._tables.live.schema != schema:
            known.outdated = True
        return known

    async def _load(self, conversation_id: int) -> Known | None:
        loaded = await self._loads.conversation(conversation_id)
        if loaded is None:
            if (known := self.kept(conversation_id) or self._remembered(conversation_id)) is not None:
                return known
            await self.after_all_now()
            loaded = await self._loads.conversation(conversation_id)
        return self.kept(conversation_id) or (await self._catch_up(loaded) if loaded else None)

    def _learn_soon(self, known: Known) -> None:
        if not known.complete and known.conversation.last_seq <= MOST_LEARNED:
            self._background.spawn(self._learn(known), "loading client_ids")

    async def _learn(self, known: Known) -> None:
        """Load all client_ids that were used in a conversation; without Postgres it goes on to be asked for them."""
        with suppress(Unavailable):
            used, stored = await self._loads.client_ids(known.conversation.id)
            memory = self._tail.memories[known.partition]
            if memory.covers(stored):
                self._kept.learn(known, used, memory.of_key(known.conversation.key, stored))

    def _remembered(self, conversation_id: int) -> Known | None:
        """Rebuild from the tail's memory alone a conversation whose opening is remembered."""
        for partition, memory in self._tail.memories.items():
            key = memory.opened(conversation_id)
            if key is None:
                continue
            entries = iter(memory.of_key(key))
            first = next(entry.event for entry in entries if isinstance(entry.event, ConversationOpened))
            if first.conversation_id == conversation_id:
                known = Known(apply(None, first), partition, ClientIds(), complete=True)
                return self._kept.add(self._fold_all(known, entries))
        return None

    async def _load_pair(self, key: str) -> Known | None:
        lower, higher = map(int, key.split(":"))
        partition = self._appender.partition_of(CONVERSATIONS, key.encode())
        loaded, stored = await self._loads.pair(partition.partition, lower, higher)
        if loaded is not None:
            return await self._catch_up(loaded)
        await self._tail.reach({partition: stored})
        if (known := self._kept.of_key(key)) is not None:
            return known
        for entry in self._memory(partition, stored).of_key(key, stored):
            if isinstance(entry.event, ConversationOpened):
                return self._remembered(entry.event.conversation_id)
        return None

    async def _catch_up(self, loaded: Loaded) -> Known:
        """Add to a row what the tail has seen since; a row that is ahead of the tail waits for it."""
        await self._tail.reach({loaded.partition: loaded.position})
        conversation = loaded.conversation
        if (known := self._kept.of_id(conversation.id)) is not None:
            return known
        memory = self._memory(loaded.partition, loaded.position)
        used = loaded.client_ids
        known = Known(conversation, loaded.partition, ClientIds(used or ()), complete=used is not None, proven=True)
        self._kept.add(self._fold_all(known, memory.of_key(conversation.key, loaded.position)))
        if self._kept.has_room(conversation.last_seq):
            self._learn_soon(known)
        return known

    def _fold_all(self, known: Known, entries: Iterable[Entry]) -> Known:
        for entry in entries:
            known.fold(entry.event)  # type: ignore[arg-type]  # the topic has these events only
        return known

    def _memory(self, partition: Partition, offset: int) -> Memory:
        memory = self._tail.memories[partition]
        memory.check_covers(offset)
        return memory
