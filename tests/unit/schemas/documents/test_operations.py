"""The table of operations is that of the routes that are really served, and the reverse."""

from typing import Any

import pytest
from starlette.routing import Route

from command_api.routes import WriteRoutes
from gateway import documents
from gateway.health import Health
from gateway.reads.read_routes import ReadRoutes
from schemas.documents.operations import OPERATIONS


def routes_of(kind: type[Any]) -> list[Route]:
    """Return the routes of a class; they need nothing of what it stands on."""
    routes: list[Route] = object.__new__(kind).routes()
    return routes


def test_every_route_is_an_operation_and_every_operation_a_route() -> None:
    routes = [
        *routes_of(WriteRoutes),
        *routes_of(ReadRoutes),
        *routes_of(Health),
        *documents.routes(),
    ]
    served = {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    assert served == {(operation.method, operation.path) for operation in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_has_one_good_answer_at_least(operation: Any) -> None:
    assert any(status < 300 for status in operation.answers)
