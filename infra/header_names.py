r"""Record headers whose names are not UTF-8: read with `\xff` for what is no text, instead of not at all.

A broker takes any bytes as a name; aiokafka's parser raises on them, at every try, so that a single record of a
producer that is not ours would stop every reader of its partition for good. aiokafka has no setting for it, so its two
classes that parse what was fetched are replaced, for the whole process, by ones that parse such a fetch once more.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class _Text(bytearray):
    """Bytes that are always text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Text(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Text(self._buffer)


class _PatientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """aiokafka's slow parser, from the batch on that has the record at `offset`."""

    _next_slice: memoryview | None

    def __init__(self, fetched: bytes, offset: int) -> None:
        super().__init__(fetched)
        while self._next_slice is not None and _Batch(self._next_slice).next_offset <= offset:
            self._cache_next()

    def next_batch(self, *_: Any) -> _Batch:
        batch = _Batch(self._next_slice)
        self._cache_next()
        return batch


class _Records(MemoryRecords):  # type: ignore[misc]
    """aiokafka's fast parser; remembers what it parses."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    _records: Any

    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            self._records = _PatientRecords(self._records.fetched, self.next_fetch_offset)
            yield from super()._unpack_records()


def tolerate() -> None:
    """Have every consumer of this process read such records."""
    fetcher.MemoryRecords = _Records
    fetcher.PartitionRecords = _PartitionRecords
