"""The OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.1), made from operations.py and the types that it names."""

from collections import defaultdict
from functools import cache
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from schemas.answers import Failure
from schemas.documents.operations import BY_ANYBODY, OPERATIONS, Operation
from schemas.documents.types import ref, schemas_of
from schemas.errors import STATUS, Code

VERSION = "1.0.0"
"""Of the contract, not of the program."""

DESCRIPTION = """\
A chat for matched pairs of users. Every path under `/chat` wants `Authorization: Bearer <JWT>`; its `sub` is the user \
id as a decimal string, and a `user_id` in a query or a body must equal it. A token whose `scope` contains \
`chat:service` is a back end, which acts for any user.

JSON is UTF-8, times are RFC 3339 UTC with milliseconds and `Z`, ids are integers from 1 to 2^53-1. The head of a \
request and its body are at most 64 KiB each, and come within 30 s each. Sockets (`/chat/connect`) and the events on \
the topics are in `/asyncapi.json`.

A GET waits up to 2 s for what its user has just written or been pushed by this edge; with `Chat-After` at any edge. \
When the read tables are further behind, it answers with what there is and the header `Chat-Stale`.
"""
ID = {"description": "an integer from 1 to 2^53-1", "type": "integer", "minimum": 1, "maximum": 2**53 - 1}
HEADERS = {
    "Chat-Position": ("where the write lies in the log; give it back as `Chat-After`", {"type": "string"}),
    "Chat-Stale": ("how many seconds the answer is behind, when it is", {"type": "integer", "minimum": 1}),
    "Retry-After": ("seconds after which the same request may succeed", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("that a bearer token is wanted, and the one given is none (RFC 6750)", {"type": "string"}),
}
OF_STATUS = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.TOO_MANY_REQUESTS: "Retry-After",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After",
}
"""The header that every error of a status has."""

PARAMETERS = {
    "id": {"name": "id", "in": "path", "required": True, "schema": ID},
    "user_id": {
        "name": "user_id",
        "in": "query",
        "description": "for whom a back end acts; users may leave it out",
        "schema": ID,
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same as `client_id` in the body, in ASCII; both and different is an error",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[ -~]*$"},
    },
    "Chat-After": {
        "name": "Chat-After",
        "in": "header",
        "description": "a `Chat-Position` that the answer is to contain",
        "schema": {"type": "string", "pattern": "^(?:[a-z-]{1,20}/)?[0-9]{1,5}:[0-9]{1,16}$"},
    },
}


@cache
def openapi() -> dict[str, Any]:
    """Return the document; nobody may change it."""
    types: set[type[Struct]] = {Failure, *(kind for operation in OPERATIONS for kind in _types(operation))}
    schemas = schemas_of(sorted(types, key=lambda kind: kind.__name__))
    queries = {operation.query.__name__ for operation in OPERATIONS if operation.query}
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chat", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in ("writing", "reading", "operating")],
        "paths": dict(paths),
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in queries},
            "headers": {
                name: {"description": description, "schema": schema} for name, (description, schema) in HEADERS.items()
            },
            "parameters": PARAMETERS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _types(operation: Operation) -> list[type[Any]]:
    return [kind for kind in (operation.query, operation.body, *operation.answers.values()) if kind is not None]


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{"token": []}] if operation.token else [],
        "parameters": _parameters(operation, schemas),
        "responses": {**_answers(operation), **_errors(operation)},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": {"application/json": {"schema": ref(operation.body)}},
        }
    return described


def _parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {
        "id": "{id}" in operation.path,
        "user_id": operation.acts_for,
        "Idempotency-Key": operation.keyed,
        "Chat-After": operation.waits,
    }
    parameters: list[dict[str, Any]] = [
        {"$ref": f"#/components/parameters/{name}"} for name, is_wanted in wanted.items() if is_wanted
    ]
    if operation.query is not None:
        fields = schemas[operation.query.__name__]
        for name, schema in fields["properties"].items():
            required = name in fields["required"]
            parameters.append({"name": name, "in": "query", "required": required, "schema": _given(schema)})
    return parameters


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what is given in a query, where null cannot be written."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return options[0] if options else schema


def _answers(operation: Operation) -> dict[str, Any]:
    described = {}
    for status, kind in operation.answers.items():
        stale = operation.waits or (operation.shows and status is HTTPStatus.OK)
        names = [*(["Chat-Position"] if operation.told else []), *(["Chat-Stale"] if stale else [])]
        described[str(status.value)] = {
            "description": (kind.__doc__ or "").splitlines()[0] if kind else status.phrase,
            **_headers(*names),
            "content": {"application/json": {"schema": ref(kind)}} if kind else _document(operation),
        }
    return described


def _headers(*names: str) -> dict[str, Any]:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}


def _document(operation: Operation) -> dict[str, Any]:
    return {"text/html" if operation.path == "/docs" else "application/json": {}}


def _errors(operation: Operation) -> dict[str, Any]:
    by_status: defaultdict[HTTPStatus, list[Code]] = defaultdict(list)
    for code in (*operation.errors, *(BY_ANYBODY if operation.token else ())):
        by_status[STATUS[code]].append(code)
    return {
        str(status.value): {
            "description": ", ".join(codes),
            **(_headers(OF_STATUS[status]) if status in OF_STATUS else {}),
            "content": {"application/json": {"schema": ref(Failure)}},
        }
        for status, codes in sorted(by_status.items())
    }
