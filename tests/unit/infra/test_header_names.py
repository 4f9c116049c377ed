"""infra/header_names.py: aiokafka's own parsing of a fetch, with names that are no text."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from infra import kafka  # noqa: F401 - has every consumer of this process tolerate them
from tests.support.foreign import with_a_name_that_is_no_text


def batch_of(first: int, names: list[str], *, gzip: bool = False) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=int(gzip), is_transactional=False,
        producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=100_000,
    )  # fmt: skip
    for offset, name in enumerate(names):
        assert builder.append(offset, 1, b"key", b"value", [(name, b"1"), ("null", None)])
    return first.to_bytes(8, "big") + bytes(builder.build())[8:]


def parsed(fetched: bytes, fetch_offset: int = 0) -> list[Any]:
    records = fetcher.MemoryRecords(fetched)
    place = TopicPartition("chat.conversations", 0)
    return list(fetcher.PartitionRecords(place, records, [], fetch_offset, None, None, True, fetcher.READ_UNCOMMITTED))


@pytest.mark.parametrize("fetch_offset", [0, 1, 2, 4, 5])
def test_a_name_that_is_no_text_is_read_and_so_are_the_records_around_it(fetch_offset: int) -> None:
    bad = bytes(with_a_name_that_is_no_text(batch_of(2, ["three", "four", "bad", "six"])))
    # A broker begins with the batch that has the offset which is asked for.
    before = batch_of(0, ["one", "two"]) if fetch_offset < 2 else b""
    found = parsed(before + bad + batch_of(6, ["ü", "eight"]), fetch_offset)
    names = ["one", "two", "three", "four", "\\xff\\xfe\\x80", "six", "ü", "eight"]
    assert [(record.offset, record.headers[0][0]) for record in found] == list(enumerate(names))[fetch_offset:]
    assert {(record.key, record.value, record.headers[1]) for record in found} == {(b"key", b"value", ("null", None))}


def test_a_compressed_batch_is_read() -> None:
    compressed = batch_of(0, ["one", "two"], gzip=True)
    assert [record.headers[0] for record in parsed(compressed)] == [("one", b"1"), ("two", b"1")]


def test_what_was_damaged_on_its_way_is_still_refused() -> None:
    damaged = with_a_name_that_is_no_text(batch_of(0, ["bad"]))
    damaged[-1] ^= 1
    with pytest.raises(Exception, match="Invalid CRC"):
        parsed(bytes(damaged))
