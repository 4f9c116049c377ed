"""Records are CloudEvents in binary mode; what is none of ours is a bad record, and never anything worse."""

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import MOST_NESTED, BadRecord, Headers, header, seal, unseal
from schemas.events import EVENT_BY_TYPE, Erased, MessageSent
from schemas.topics import BY_NAME
from tests.support.examples import EXAMPLES, TIME

MESSAGE = next(event for event in EXAMPLES if isinstance(event, MessageSent))
SEALED = seal(MESSAGE, ce_id="abc-1", source="/chat/edges/edge-1", time=TIME, traceparent="00-1-2-01")
TYPE = MESSAGE.type.encode()


def refused(
    value: bytes | None = SEALED.value,
    *,
    topic: str = "chat.conversations",
    key: bytes | None = SEALED.key,
    headers: Headers = SEALED.headers,
) -> str:
    """Return why a record is bad."""
    with pytest.raises(BadRecord) as bad:
        unseal(topic, key, value, headers)
    return str(bad.value)


def changed(before: bytes, after: bytes) -> bytes:
    assert before in SEALED.value
    return SEALED.value.replace(before, after)


def test_the_attributes_of_an_event_are_in_headers() -> None:
    assert dict(SEALED.headers) == {
        "ce_id": b"abc-1",
        "ce_type": b"chat.message.sent.v1",
        "ce_specversion": b"1.0",
        "ce_source": b"/chat/edges/edge-1",
        "ce_time": TIME.encode(),
        "content-type": b"application/json",
        "traceparent": b"00-1-2-01",
    }


def test_what_was_sealed_is_unsealed() -> None:
    assert unseal("chat.conversations", SEALED.key, SEALED.value, SEALED.headers) == MESSAGE


def test_a_header_that_is_missing_or_no_text_is_none() -> None:
    assert header([("a", b"1"), ("a", b"2")], "a") == "1"
    assert header([("a", b"\xff")], "a") is None
    assert header([], "a") is None


def test_a_record_without_a_value_is_an_erasure_on_a_compacted_topic_only() -> None:
    assert unseal("chat.users", b"7", None, []) == Erased(topic="chat.users", user_id=7)
    assert unseal("chat.last-seen", b"7", None, []) == Erased(topic="chat.last-seen", user_id=7)
    assert refused(None) == "no value"
    assert refused(None, topic="nobody's") == "no value"


@pytest.mark.parametrize("key", [None, b"", b"0", b"007", b"-7", b"x", b"9" * 5_000, b"9007199254740992", b"\xff"])
def test_an_erasure_needs_a_user_id_as_its_key(key: bytes | None) -> None:
    assert refused(None, topic="chat.users", key=key) == "no value, and the key is not a user id"


def test_a_record_has_to_say_what_it_is() -> None:
    assert refused(headers=[]) == "no ce_type header"
    assert refused(headers=[("ce_type", b"\xff")]) == "no ce_type header"


@pytest.mark.parametrize("ce_type", ["", "chat.message.sent.v2", "chat.message.sent", "org.example.made-up"])
def test_an_unknown_type_or_version_is_bad(ce_type: str) -> None:
    assert "unknown type or version" in refused(headers=[("ce_type", ce_type.encode())])


def test_an_event_belongs_to_one_topic() -> None:
    assert "does not belong on chat.moderation" in refused(topic="chat.moderation")


@pytest.mark.parametrize("key", [None, b"", b"7:13", b"12:7", b"12"])
def test_a_key_that_does_not_fit_the_value_is_bad(key: bytes | None) -> None:
    assert "the key is" in refused(key=key)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(SEALED.value[:-7], id="truncated"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(changed(b"5002", b"true"), id="a bool for an id"),
        pytest.param(changed(b"5002", b"5002.5"), id="a fraction for an id"),
        pytest.param(changed(b"5002", b"0"), id="id 0"),
        pytest.param(changed(b"5002", b"9007199254740992"), id="an id beyond 2^53-1"),
        pytest.param(changed(b"5002", b"9" * 5_000), id="an id of 5,000 digits"),
        pytest.param(changed(b"5002", b"1e400"), id="an id of 1e400"),
        pytest.param(changed(b'"message_id":5002,', b""), id="an id is missing"),
        pytest.param(changed(b'"recipient_id":7', b'"recipient_id":12'), id="a pair of one user"),
        pytest.param(changed(b"and a", rb"\u0000"), id="U+0000"),
        pytest.param(changed(b"and a", rb"\ud800"), id="a lone surrogate"),
        pytest.param(changed(b"and a", b"\xff"), id="invalid UTF-8"),
        pytest.param(changed(b"and a", b"x" * 4_000), id="too long"),
        pytest.param(changed(b'"b2f0-1"', b'""'), id="an empty client_id"),
        pytest.param(changed(b"01-31T", b"02-31T"), id="a day that no calendar has"),
        pytest.param(changed(b"250Z", b"250+01:00"), id="another time zone"),
        pytest.param(changed(b'{"offset":41', b'{"offset":-1'), id="an offset below 0"),
    ],
)
def test_a_value_that_breaks_its_schema_is_bad(value: bytes) -> None:
    assert refused(value).startswith("chat.message.sent.v1: ")


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * (MOST_NESTED + 1)])
def test_deep_nesting_is_bad_whatever_stack_the_reader_has(deep: bytes) -> None:
    assert f"nested more than {MOST_NESTED} deep" in refused(SEALED.value[:-1] + b',"more":' + deep)


def test_brackets_in_a_text_do_not_nest() -> None:
    value = changed(b"and a", rb"[{" * 500 + rb"\"[")
    assert isinstance(unseal("chat.conversations", SEALED.key, value, SEALED.headers), MessageSent)


@given(
    topic=st.sampled_from(sorted(BY_NAME)),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=200) | st.text(alphabet='{}[]":,0\\ue', max_size=200).map(str.encode),
    ce_type=st.sampled_from(sorted(EVENT_BY_TYPE)).map(str.encode) | st.binary(max_size=20),
)
def test_whatever_a_producer_writes_is_an_event_or_a_bad_record(
    topic: str, key: bytes | None, value: bytes | None, ce_type: bytes
) -> None:
    with suppress(BadRecord):
        unseal(topic, key, value, [("ce_type", ce_type)])


def test_what_was_good_is_good_at_any_depth_of_the_stack() -> None:
    nested = b"[" * (MOST_NESTED - 1) + b"]" * (MOST_NESTED - 1)
    value = SEALED.value[:-1] + b',"more":' + nested + b"}"

    def deeper(frames: int) -> object:
        return deeper(frames - 1) if frames else unseal("chat.conversations", SEALED.key, value, SEALED.headers)

    assert deeper(sys.getrecursionlimit() - 200) == MESSAGE
