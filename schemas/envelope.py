"""Records as they lie in Kafka: CloudEvents 1.0 in binary mode, the attributes in headers and flat JSON as value.

Source: CloudEvents Kafka Protocol Binding 1.0.2, section 3.2; Trace Context (W3C) for `traceparent`.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import fields

from schemas import topics
from schemas.events import EVENT_BY_TYPE, EVENT_TYPES, AnyEvent, Erased, Fact, key_of
from schemas.ids import MAX_ID
from schemas.times import Time, read_time

MOST_NESTED = 32
"""How deep arrays and objects of a value may nest, so that no reader's stack decides what a record says."""

_MOST_STORED = 1_000
_USER = re.compile(rb"[1-9][0-9]{0,15}")
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}

Headers = Sequence[tuple[str, bytes]]

_ENCODE = msgspec.json.Encoder().encode
_DECODE = {event.type: msgspec.json.Decoder(event).decode for event in EVENT_TYPES}
_TIMES = {event.type: [field.name for field in fields(event) if field.type == Time] for event in EVENT_TYPES}
_CE_TYPE = {event: event.type.encode() for event in EVENT_TYPES}


class BadRecord(ValueError):
    """A record that is none of our events; the text says why."""


class Sealed(NamedTuple):
    """An event ready to be appended: its record, whose `ce_id` is also among the headers, and itself."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    ce_id: str
    event: AnyEvent


def seal(event: AnyEvent, *, ce_id: str, source: str, time: Time, traceparent: str | None = None) -> Sealed:
    """Encode an event; `source` is `/chat/edges/<id>`, `ce_id` unique for ever."""
    key = key_of(event)
    headers = [
        ("ce_id", ce_id.encode()),
        ("ce_type", _CE_TYPE[type(event)]),
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_time", time.encode()),
        ("content-type", b"application/json"),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return Sealed(None if key is None else key.encode(), _ENCODE(event), headers, ce_id, event)


def header(headers: Headers, name: str) -> str | None:
    """Return the first header of this name, or None where it is missing or not text."""
    for key, value in headers:
        if key == name:
            try:
                return value.decode()
            except (UnicodeDecodeError, AttributeError):
                return None
    return None


def storable(text: str) -> str:
    """Return a header's text as tables keep it: without U+0000, which Postgres refuses, and not at any length."""
    return text.replace("\x00", "\\x00")[:_MOST_STORED]


def unseal(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Fact:
    """Decode a record of `topic`; BadRecord when it is not one of that topic's events or its key does not fit."""
    if value is None:
        return _erased(topic, key)
    ce_type = header(headers, "ce_type")
    if ce_type is None:
        raise BadRecord("no ce_type header")
    kind = EVENT_BY_TYPE.get(ce_type)
    if kind is None:
        raise BadRecord(f"unknown type or version {ce_type!r}")
    if kind.topic != topic:
        raise BadRecord(f"{ce_type} does not belong on {topic}")
    if _nests_deeply(value):
        raise BadRecord(f"{ce_type}: nested more than {MOST_NESTED} deep")
    try:
        event: Any = _DECODE[ce_type](value)
        for time in _TIMES[ce_type]:
            read_time(getattr(event, time))
        expected = key_of(event)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadRecord(f"{ce_type}: {error}") from None
    if expected is not None and key != expected.encode():
        raise BadRecord(f"{ce_type}: the key is {key!r}, the value's is {expected!r}")
    return event  # type: ignore[no-any-return]


def _erased(topic: str, key: bytes | None) -> Erased:
    if topic not in topics.BY_NAME or not topics.BY_NAME[topic].compacted:
        raise BadRecord("no value")
    if key is None or not _USER.fullmatch(key) or int(key) > MAX_ID:
        raise BadRecord("no value, and the key is not a user id")
    return Erased(topic=topic, user_id=int(key))


def _nests_deeply(value: bytes) -> bool:
    if value.count(b"[") + value.count(b"{") <= MOST_NESTED:
        return False
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(value):
        depth += _STEPS.get(found[0], 0)
        if depth > MOST_NESTED:
            return True
    return False
