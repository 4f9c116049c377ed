"""What the tail lately brought for each user: an index over its memory, so that a short gap costs what was missed.

Bounded by the memory itself, and forgotten with it, a little at each record: going through all users at once would stop
everybody meanwhile. Catch-ups read it (resume.py).
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

from gateway.reads.concerning import concerned
from infra.memory import Entry, Memory
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS


class Recent:
    """The remembered records of `chat.conversations` by the users they concern."""

    def __init__(self, memories: Mapping[Partition, Memory]) -> None:
        self._memories = memories
        self._of_user: OrderedDict[int, deque[Entry]] = OrderedDict()

    def fold(self, entry: Entry) -> None:
        """Take the next counted event of a conversation."""
        for user_id in concerned(entry.event):
            entries = self._of_user.get(user_id)
            if entries is None:
                entries = self._of_user[user_id] = deque()
            else:
                self._of_user.move_to_end(user_id)
                while entries and self._forgotten(entries[0]):
                    entries.popleft()
            entries.append(entry)
        self._forget_the_silent()

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

    def _forget_the_silent(self) -> None:
        """Let go of those users of whom the memory has nothing any more; who was heard of last comes last."""
        while self._of_user:
            user_id, entries = next(iter(self._of_user.items()))
            if not self._forgotten(entries[-1]):
                return
            del self._of_user[user_id]

    def _forgotten(self, entry: Entry) -> bool:
        return entry.offset < self._memories[entry.partition].begin
