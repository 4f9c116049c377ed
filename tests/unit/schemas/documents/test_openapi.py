"""The OpenAPI document is whole: what it refers to is there, and every operation says what it takes and gives."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from schemas.documents.openapi import openapi
from schemas.documents.operations import OPERATIONS, Operation
from schemas.errors import STATUS, Code

DOCUMENT = openapi()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs(item)


def follow(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_it_is_openapi_3_1_and_json() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert {"title", "version", "description"} <= DOCUMENT["info"].keys()
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT))["paths"]


def test_what_is_referred_to_is_there() -> None:
    assert all(follow(reference) for reference in refs(DOCUMENT))


def test_what_is_there_is_referred_to() -> None:
    used = set(refs(DOCUMENT))
    for kind in ("schemas", "parameters", "headers"):
        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= used


def test_every_operation_is_there_once() -> None:
    documented = sorted((path, method) for path, method, _ in operations())
    assert documented == sorted((operation.path, operation.method) for operation in OPERATIONS)
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()))
def test_an_operation_declares_the_parameters_of_its_path(path: str, method: str, operation: dict[str, Any]) -> None:
    parameters = [
        follow(parameter["$ref"]) if "$ref" in parameter else parameter for parameter in operation["parameters"]
    ]
    in_path = [parameter for parameter in parameters if parameter["in"] == "path"]
    assert [parameter["name"] for parameter in in_path] == (["id"] if "{id}" in path else [])
    assert all(parameter["required"] for parameter in in_path)
    assert len({(parameter["name"], parameter["in"]) for parameter in parameters}) == len(parameters)
    assert ("requestBody" in operation) == (method != "GET")
    needs_none = path.endswith(("/read", "/block"))
    assert operation.get("requestBody", {}).get("required", False) is (method != "GET" and not needs_none)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_error_of_an_operation_is_listed_with_its_status(operation: Operation) -> None:
    responses = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    for code in operation.errors:
        assert code in responses[str(STATUS[code].value)]["description"].split(", ")


def test_what_wants_a_token_says_so_and_how_it_refuses() -> None:
    for path, _, operation in operations():
        assert bool(operation["security"]) == path.startswith("/chat/")
        assert ("401" in operation["responses"]) == path.startswith("/chat/")


def test_an_error_has_the_header_of_its_status() -> None:
    for _, _, operation in operations():
        for status, header in (("401", "WWW-Authenticate"), ("429", "Retry-After")):
            if status in operation["responses"]:
                assert list(operation["responses"][status]["headers"]) == [header]


def test_a_block_says_whose_it_is() -> None:
    assert "who blocks" in DOCUMENT["components"]["schemas"]["Block"]["properties"]["user_id"]["description"]


def test_every_code_of_the_contract_can_be_met_somewhere() -> None:
    documented = {code for operation in OPERATIONS for code in operation.errors}
    outside_of_operations = {Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.INTERNAL_ERROR, Code.SERVICE_UNAVAILABLE}
    assert documented | outside_of_operations == set(Code)


def test_writes_tell_their_position_and_reads_may_wait_for_it() -> None:
    for path, method, operation in operations():
        headers = {name for response in operation["responses"].values() for name in response.get("headers", ())}
        assert ("Chat-Position" in headers) == (path.startswith("/chat/") and method != "GET")
        assert ("Chat-Stale" in headers) == (
            path.startswith("/chat/") and (method == "GET" or path == "/chat/conversations")
        )


def test_a_conversation_that_was_there_may_be_shown_late_and_a_new_one_never() -> None:
    responses = DOCUMENT["paths"]["/chat/conversations"]["post"]["responses"]
    assert "Chat-Stale" in responses["200"]["headers"]
    assert "Chat-Stale" not in responses["201"]["headers"]


def test_numbers_in_a_query_have_their_bounds() -> None:
    parameters = {
        one["name"]: one for one in DOCUMENT["paths"]["/chat/conversations"]["get"]["parameters"] if "name" in one
    }
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert parameters["user_id"]["required"]
    assert not parameters["offset"]["required"]
