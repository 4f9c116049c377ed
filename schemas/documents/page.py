"""`/docs`: both documents as one page that people read. Plain HTML; it needs no script and nothing from elsewhere."""

from functools import cache
from html import escape
from typing import Any

from schemas.documents.asyncapi import asyncapi
from schemas.documents.openapi import openapi

STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { border-bottom: 1px solid #ccc; margin-top: 3rem } h3 { margin: 2rem 0 0 } p { margin: .4rem 0 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f4; padding: 0 .2rem }
table { border-collapse: collapse; margin: .6rem 0; width: 100% }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; padding: .2rem .8rem .2rem 0 }
.words { white-space: pre-line } .method { color: #06c }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } code, pre { background: #2a2a2a } }
"""
HEAD = f"""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Chat</title><style>{STYLE}</style></head><body>
<h1>Chat</h1>
<p>The same for programs: <a href="/openapi.json">OpenAPI</a>, <a href="/asyncapi.json">AsyncAPI</a>.</p>
"""


@cache
def page() -> str:
    """Return the page."""
    http, log = openapi(), asyncapi()
    parts = [HEAD, "<h2>HTTP</h2>", _words(http["info"]["description"])]
    for path, methods in http["paths"].items():
        parts += [_operation(http, method, path, operation) for method, operation in methods.items()]
    for name, channel in log["channels"].items():
        parts += [f"<h2>{escape(channel['address'])}</h2>", _words(channel["description"])]
        for operation in log["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                parts += [_message(log, operation["action"], _follow(log, one)) for one in operation["messages"]]
    return "\n".join(parts) + "</body></html>\n"


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    heading = f'<span class="method">{method.upper()}</span> {escape(path)}'
    parts = [
        f'<h3 id="{operation["operationId"]}"><code>{heading}</code></h3>',
        _words(operation["summary"] + ". " + operation.get("description", "")),
    ]
    parameters = [_follow(document, parameter) for parameter in operation["parameters"]]
    rows = [
        (f"{one['name']} ({one['in']})", one.get("required"), {**one["schema"], **_said(one)}) for one in parameters
    ]
    if rows:
        parts.append(_table(document, rows))
    if "requestBody" in operation:
        parts += ["<p>Body</p>", _fields(document, operation["requestBody"]["content"]["application/json"]["schema"])]
    for status, response in operation["responses"].items():
        parts.append(f"<p>{status}: {escape(response['description'])}</p>")
        schema = response["content"].get("application/json", {}).get("schema")
        if schema and status < "300":
            parts.append(_fields(document, schema))
    return "\n".join(parts)


def _message(document: dict[str, Any], action: str, message: dict[str, Any]) -> str:
    message = _follow(document, message)
    whence = {"receive": "from clients", "send": ""}[action]
    return (
        f"<h3><code>{escape(message['name'])}</code> {whence}</h3>"
        f"{_words(message['summary'])}{_fields(document, message['payload'])}"
    )


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _follow(document, schema)
    required = schema.get("required", ())
    return _table(document, [(name, name in required, field) for name, field in schema["properties"].items()])


def _table(document: dict[str, Any], rows: list[tuple[str, Any, dict[str, Any]]]) -> str:
    cells = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(document, schema))}</td>"
        f"<td>{'required' if required else ''}</td><td>{escape(_described(schema))}</td></tr>"
        for name, required, schema in rows
    ]
    return f"<table>{''.join(cells)}</table>"


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        members = ", ".join(_follow(document, schema)["properties"])
        return "{" + members + "}"
    if "anyOf" in schema:
        return " or ".join(_type(document, option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"[{_type(document, schema['items'])}]"
    return str(schema.get("type", "any"))


def _described(schema: dict[str, Any]) -> str:
    options = [schema, *schema.get("anyOf", ())]
    said = next((option["description"] for option in options if "description" in option), "")
    default = schema.get("default")
    return said if default is None else f"{said}; {default} unless given".lstrip("; ")


def _said(parameter: dict[str, Any]) -> dict[str, Any]:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _words(text: str) -> str:
    return f'<p class="words">{escape(text.strip())}</p>'


def _follow(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference stands for, or the value itself."""
    if "$ref" not in value:
        return value
    found: Any = document
    for step in value["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return _follow(document, found)
