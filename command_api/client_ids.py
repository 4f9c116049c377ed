"""Which client_ids a conversation's senders have used: a set that takes 18 bytes for each of many.

A set of Python's takes eighty, and an edge holds millions. What is recognised may be another one, rarely, and has to be
confirmed; what is not recognised was never used.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable

LEAST_UNSORTED = 4
SORTED_FOR_EACH = 8
"""Digests are sorted in once they are more than an eighth of those that are, which costs less than 1 µs for each."""


class ClientIds:
    """The client_ids of one conversation; `used` are loaded ones, each as "sender:client_id"."""

    __slots__ = ("_sorted", "_unsorted")

    def __init__(self, used: Iterable[str] = ()) -> None:
        self._sorted = array("q", sorted(map(hash, used)))
        self._unsorted: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._unsorted)

    def add(self, sender_id: int, client_id: str) -> None:
        """Take note that a sender has used this one."""
        self._unsorted.add(_digest(sender_id, client_id))
        if len(self._unsorted) > max(LEAST_UNSORTED, len(self._sorted) // SORTED_FOR_EACH):
            self._sorted.extend(self._unsorted)
            self._sorted = array("q", sorted(self._sorted))
            self._unsorted = set()

    def may_have(self, sender_id: int, client_id: str) -> bool:
        """Tell whether a sender may have used this one; False is certain."""
        digest = _digest(sender_id, client_id)
        if digest in self._unsorted:
            return True
        at = bisect_left(self._sorted, digest)
        return at < len(self._sorted) and self._sorted[at] == digest


def _digest(sender_id: int, client_id: str) -> int:
    # Python's own hash: quick, and since it is another in each process, nobody can make client_ids that collide.
    return hash(f"{sender_id}:{client_id}")
