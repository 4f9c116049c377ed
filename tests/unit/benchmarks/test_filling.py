import pytest

from benchmarks.filling import acquainted


def test_pairs_are_different_and_everyone_has_as_many() -> None:
    pairs = acquainted(500, 20, first_user=1)
    assert len({frozenset(pair) for pair in pairs}) == 500
    counts = {user: sum(user in pair for pair in pairs) for user in range(1, 51)}
    assert set(counts.values()) == {20}


def test_too_few_conversations_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        acquainted(200, 20, first_user=1)
