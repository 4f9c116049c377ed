"""Schemas are portable: no reader needs Python's regular expressions."""

import re
from typing import Any

from schemas import requests
from schemas.documents.asyncapi import asyncapi
from schemas.documents.openapi import openapi
from schemas.documents.types import ref, schemas_of


def patterns(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
        return own + [pattern for item in value.values() for pattern in patterns(item)]
    return [pattern for item in value for pattern in patterns(item)] if isinstance(value, list) else []


def test_patterns_have_anchors_that_ecma_262_knows() -> None:
    found = patterns(openapi()) + patterns(asyncapi())
    assert found
    for pattern in found:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert r"\A" not in pattern
        assert r"\Z" not in pattern
        re.compile(pattern)


def test_a_schema_has_what_its_types_say() -> None:
    schema = schemas_of([requests.SendMessage])["SendMessage"]
    assert schema["required"] == ["conversation_id", "user_id", "content"]
    assert schema["properties"]["content"]["maxLength"] == 4_000
    assert schema["properties"]["conversation_id"]["maximum"] == 2**53 - 1


def test_a_group_goes_before_the_names() -> None:
    assert list(schemas_of([requests.OfUser], "g.")) == ["g.OfUser"]
    assert ref(requests.OfUser, "g.") == {"$ref": "#/components/schemas/g.OfUser"}
