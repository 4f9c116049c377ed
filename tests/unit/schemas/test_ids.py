"""Ids, pairs of users, and where a record lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import MAX_ID, Partition, Position, pair_key, read_position, write_position
from schemas.topics import BY_NAME

ids = st.integers(1, MAX_ID)


def test_the_largest_id_is_one_that_javascript_holds() -> None:
    assert MAX_ID == 9_007_199_254_740_991


def test_a_pair_has_one_key_whoever_asks() -> None:
    assert pair_key(12, 7) == pair_key(7, 12) == "7:12"


def test_ids_are_ordered_as_numbers_not_as_text() -> None:
    assert pair_key(10, 9) == "9:10"


def test_one_user_is_no_pair() -> None:
    with pytest.raises(ValueError, match="is no pair"):
        pair_key(7, 7)


@given(ids, ids, ids, ids)
def test_different_pairs_have_different_keys(a: int, b: int, c: int, d: int) -> None:
    if a != b and c != d:
        assert (pair_key(a, b) == pair_key(c, d)) == ({a, b} == {c, d})


def test_a_position_in_the_log_of_conversations_is_written_without_its_topic() -> None:
    assert write_position(Partition("chat.conversations", 3), 1_042) == str(Position(3, 1_042)) == "3:1042"
    assert write_position(Partition("chat.users", 0), 7) == "users/0:7"


@given(st.sampled_from(sorted(BY_NAME)), st.integers(0, 99_999), st.integers(0, 10**16 - 1))
def test_what_was_written_is_read(topic: str, partition: int, offset: int) -> None:
    written = write_position(Partition(topic, partition), offset)
    assert read_position(written) == (Partition(topic, partition), offset)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:",
        ":7",
        "3:7 ",
        "3:-7",
        "-3:7",
        "a:b",
        "3:7:9",
        "\u0663:\u0667",
        "/3:7",
        "Users/3:7",
        "3:" + "9" * 17,
    ],
)
def test_anything_else_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position"):
        read_position(text)
