"""JSON Schemas of our types, by name, in the form that OpenAPI 3.1 and AsyncAPI 3.0 share (JSON Schema 2020-12)."""

from collections.abc import Iterable
from typing import Any

import msgspec

REF = "#/components/schemas/"


def schemas_of(types: Iterable[type[msgspec.Struct]], group: str = "") -> dict[str, Any]:
    """Return the schema of each type, and of what they consist of, by name; `group` goes before each name."""
    _, components = msgspec.json.schema_components(tuple(types), ref_template=f"{REF}{group}{{name}}")
    return {group + name: _portable(schema) for name, schema in sorted(components.items())}


def ref(kind: type[msgspec.Struct], group: str = "") -> dict[str, str]:
    """Return the reference to a type's schema."""
    return {"$ref": f"{REF}{group}{kind.__name__}"}


def _portable(schema: Any) -> Any:
    """Write patterns as ECMA-262 has them, which JSON Schema asks for: it knows no `\\A` and no `\\Z`."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\A", "^").replace(r"\Z", "$") if key == "pattern" else _portable(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_portable(item) for item in schema]
    return schema
