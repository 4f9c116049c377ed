"""A dictionary that keeps what was put into it last, up to a bound."""

from collections.abc import Hashable, Mapping
from itertools import islice
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(dict[K, V]):
    """A dictionary in the order of `put`; nothing is dropped before `put` or `trim`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, entries: Mapping[K, V]) -> None:
        """Put entries last, and drop the oldest beyond the bound."""
        for key in entries:
            self.pop(key, None)
        self.update(entries)
        self.trim()

    def trim(self) -> None:
        """Drop the oldest beyond the bound."""
        for key in list(islice(self, max(0, len(self) - self._most))):
            del self[key]
