"""Turn untrusted JSON into typed requests, or say which field is wrong and how.

`json` decodes, because it alone reports duplicate keys; msgspec checks types and limits. A field's rule is the
description of its type, which the OpenAPI document shows too.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, Never, TypeVar

import msgspec
from msgspec.inspect import Metadata, StructType, type_info

from schemas.errors import ChatError, Code, invalid

MAX_BYTES = 64 * 1024
"""The largest body or frame, in bytes."""

SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half of a character: JSON can write one alone, UTF-8 cannot, so no answer can repeat it."""

T = TypeVar("T", bound=msgspec.Struct)

_MISSING = re.compile(r"missing required field `([^`]+)`")
_DIGITS = re.compile(r"\A-?[0-9]{1,40}\Z")
_PATH = re.compile(r" - at `\$\.?([^`]*)`\Z")


def parse(data: bytes | str, kind: type[T]) -> T:
    """Decode one JSON object into `kind`; ChatError MALFORMED_JSON or VALIDATION_ERROR when that cannot be."""
    return check(decode_object(data), kind)


def decode_object(data: bytes | str) -> dict[str, Any]:
    """Decode strict JSON (RFC 8259) whose root is an object; duplicate keys, NaN and infinities are refused."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = _JSON.decode(text)
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except ValueError as error:
        raise _malformed(str(error)) from None
    if not isinstance(value, dict):
        raise _malformed("the root must be an object")
    return value


def check(value: Mapping[str, Any], kind: type[T]) -> T:
    """Convert decoded JSON into `kind`; ChatError VALIDATION_ERROR with the field's name and its rule."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explain(str(error), kind) from None
    except UnicodeEncodeError:
        raise _no_text(value, kind) from None


def check_query(query: Mapping[str, str], kind: type[T]) -> T:
    """Convert the texts of a query string into `kind`: what is written in decimal digits is a number."""
    return check({name: int(text) if _DIGITS.match(text) else text for name, text in query.items()}, kind)


def _explain(message: str, kind: type[msgspec.Struct]) -> ChatError:
    if missing := _MISSING.search(message):
        return invalid(missing[1], "is required")
    path = _PATH.search(message)
    field = path[1].split(".")[0].split("[")[0] if path else ""
    return invalid(field or "body", _rules(kind).get(field, _PATH.sub("", message)))


def _no_text(value: Mapping[str, Any], kind: type[msgspec.Struct]) -> ChatError:
    """Name a lone surrogate that msgspec does not get past: in a key, or in what has to be one of some texts."""
    for name, given in value.items():
        if SURROGATE.search(name):
            return ChatError(Code.MALFORMED_JSON, "a key is no text", {_shown(name): "must have no lone surrogates"})
        if isinstance(given, str) and SURROGATE.search(given) and name in _rules(kind):
            return invalid(name, _rules(kind)[name])
    return invalid("body", "must have no lone surrogates")


@cache
def _rules(kind: type[msgspec.Struct]) -> dict[str, str]:
    info = type_info(kind)
    if not isinstance(info, StructType):
        raise TypeError(f"{kind!r} is not a Struct")
    rules = {}
    for field in info.fields:
        for option in getattr(field.type, "types", (field.type,)):
            if isinstance(option, Metadata) and option.extra_json_schema:
                rules[field.encode_name] = "must be " + option.extra_json_schema["description"]
    return rules


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        twice = _shown(name)
        raise ChatError(Code.MALFORMED_JSON, f"duplicate key '{twice}'", {twice: "is given more than once"})
    return found


def _shown(key: str) -> str:
    """Return a key as an answer can repeat it, whatever is in it."""
    return ascii(key)[1:-1]


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _malformed(reason: str) -> ChatError:
    return ChatError(Code.MALFORMED_JSON, "the body is not a JSON object", {"body": reason})


_JSON = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
