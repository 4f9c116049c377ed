"""A trace goes on with what the request brought, if that is well formed."""

import pytest

from infra.trace import bring, traceparent

BROUGHT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_well_formed_header_is_passed_on() -> None:
    bring(BROUGHT)
    assert traceparent() == BROUGHT


@pytest.mark.parametrize("given", [None, "", "nonsense", BROUGHT.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_anything_else_begins_a_new_trace(given: str | None) -> None:
    bring(given)
    assert traceparent() not in (given, BROUGHT)
    assert len(traceparent()) == len(BROUGHT)
