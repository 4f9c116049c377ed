"""infra/placing.py: the same partitions as Kafka's own clients choose, and nothing of ours elsewhere."""

import pytest
from aiokafka.partitioner import DefaultPartitioner

from infra.placing import check_place, place
from schemas.envelope import BadRecord


@pytest.mark.parametrize("partitions", [1, 2, 4, 64])
def test_a_key_has_the_partition_that_other_clients_choose(partitions: int) -> None:
    numbers = list(range(partitions))
    choose = DefaultPartitioner()
    for key in (b"1:2", b"7", b"368592744951:368592744952", b"\xff\xfe", b""):
        assert place(key, partitions) == choose(key, numbers, numbers)


def test_what_has_no_key_lies_in_the_first() -> None:
    assert place(None, 4) == 0


def test_a_record_in_another_partition_than_its_keys_is_refused() -> None:
    here = place(b"1:2", 4)
    check_place(b"1:2", here, 4)
    with pytest.raises(BadRecord, match=f"the key b'1:2' belongs in partition {here}"):
        check_place(b"1:2", (here + 1) % 4, 4)
