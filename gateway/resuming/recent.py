"""What the tail lately brought for each user: an index over its memory, so that a short gap costs what was missed.

Bounded by the memory itself. Catch-ups read it (resume.py).
"""

from collections.abc import Iterable, Mapping

from gateway.reads.concerning import concerned
from infra.memory import Entry, Memory
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS

SWEEP_EVERY = 20_000


class Recent:
    """The remembered records of `chat.conversations` by the users they concern."""

    def __init__(self, memories: Mapping[Partition, Memory]) -> None:
        self._memories = memories
        self._of_user: dict[int, list[Entry]] = {}
        self._added = 0

    def fold(self, entry: Entry) -> None:
        """Take the next counted event of a conversation."""
        for user_id in concerned(entry.event):
            entries = self._of_user.get(user_id)
            if entries is None:
                self._of_user[user_id] = [entry]
            else:
                entries.append(entry)
        self._added += 1
        if self._added >= SWEEP_EVERY:
            self._sweep()

    def covers(self, start: Mapping[int, int]) -> bool:
        """Tell whether everything from these offsets on is remembered."""
        return all(
            memory.covers(start[partition.partition])
            for partition, memory in self._memories.items()
            if partition.topic == CONVERSATIONS
        )

    def since(self, user_id: int, start: Mapping[int, int]) -> Iterable[Entry]:
        """Yield what concerns a user from these offsets on, in the order of each partition."""
        for entry in self._of_user.get(user_id, ()):
            if entry.offset >= start[entry.partition.partition]:
                yield entry

    def _sweep(self) -> None:
        """Let go of what the memory has forgotten."""
        self._added = 0
        begins = {partition: memory.begin for partition, memory in self._memories.items()}
        for user_id, entries in list(self._of_user.items()):
            if entries[0].offset < begins[entries[0].partition]:
                kept = [entry for entry in entries if entry.offset >= begins[entry.partition]]
                if kept:
                    self._of_user[user_id] = kept
                else:
                    del self._of_user[user_id]
