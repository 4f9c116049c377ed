"""Which client_ids are used: none is forgotten, few are taken for others, and each takes little room."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from command_api.client_ids import LEAST_UNSORTED, ClientIds

Used = tuple[int, str]
SOME = st.lists(st.tuples(st.integers(1, 3), st.text("ab:0", max_size=3)), max_size=40)
FEW, MANY = 20, 20_000


@given(SOME, SOME, SOME)
def test_what_was_used_is_known_and_nothing_else(loaded: list[Used], added: list[Used], others: list[Used]) -> None:
    used = ClientIds(f"{sender}:{client_id}" for sender, client_id in loaded)
    for sender, client_id in added:
        used.add(sender, client_id)
    known = {*loaded, *added}
    for sender, client_id in {*known, *others}:
        assert used.may_have(sender, client_id) is ((sender, client_id) in known)


def test_of_many_none_is_forgotten_whenever_they_are_sorted() -> None:
    used = ClientIds(f"1:{number}" for number in range(LEAST_UNSORTED))
    for number in range(MANY):
        used.add(2, str(number))
        assert used.may_have(2, str(number))
        assert used.may_have(2, str(number // 2))
    assert not any(used.may_have(3, str(number)) for number in range(MANY))
    assert all(used.may_have(1, str(number)) for number in range(LEAST_UNSORTED))
    assert len(used) == LEAST_UNSORTED + MANY


def test_they_take_little_room() -> None:
    used = ClientIds()
    for number in range(MANY):
        used.add(1, f"client-{number}")
    numbers = sum(map(sys.getsizeof, used._unsorted))
    assert sys.getsizeof(used._sorted) + sys.getsizeof(used._unsorted) + numbers < 18 * MANY


def test_few_take_little_more() -> None:
    used = ClientIds()
    for number in range(FEW):
        used.add(1, f"client-{number}")
    numbers = sum(map(sys.getsizeof, used._unsorted))
    assert sys.getsizeof(used._sorted) + sys.getsizeof(used._unsorted) + numbers < 18 * FEW + 400
