"""Bad input: each has its code and names its field, and none is anything worse."""

import json
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ChatError, Code
from schemas.requests import (
    FileReport,
    ListConversations,
    ListMessages,
    MessageFrame,
    OpenConversation,
    SendMessage,
    UpdateUser,
)
from schemas.validation import check, check_query, decode_object, parse

MESSAGE = {"conversation_id": 1, "user_id": 2, "content": "hi"}
REPORT = {"report_type": "spam", "reason": "because"}
LARGEST = 2**53 - 1


def refused(body: bytes | dict[str, Any], kind: type[msgspec.Struct] = SendMessage) -> ChatError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ChatError) as error:
        parse(data, kind)
    return error.value


def accepted(body: dict[str, Any], kind: type[msgspec.Struct] = SendMessage) -> Any:
    return parse(json.dumps(body).encode(), kind)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="broken"),
        pytest.param(b'{"a":1,}', id="a comma too many"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":Infinity}', id="Infinity"),
        pytest.param(b'{"a":-Infinity}', id="-Infinity"),
        pytest.param(b'{"a":1e400}', id="a number that would be Infinity"),
        pytest.param(b'{"a":[-1.0E+400]}', id="a number that would be -Infinity"),
        pytest.param(b'{"conversation_id":1e400,"user_id":2,"content":"x"}', id="an id of 1e400"),
        pytest.param(b'{"a":' + b"[" * 60_000, id="nesting without end"),
        pytest.param(b'{"a":' + b'{"a":' * 10_000, id="objects without end"),
        pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
        pytest.param(b'{"a":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\x00"}', id="U+0000 unescaped"),
        pytest.param(b"{'a':1}", id="single quotes"),
    ],
)
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    error = refused(body)
    assert (error.code, list(error.details)) == (Code.MALFORMED_JSON, ["body"])


def test_duplicate_keys_are_malformed_and_the_key_is_named() -> None:
    error = refused(b'{"user_id":1,"content":"a","content":"b"}')
    assert (error.code, error.details) == (Code.MALFORMED_JSON, {"content": "is given more than once"})
    assert refused(b'{"deep":{"a":1,"a":2}}').details == {"a": "is given more than once"}


def test_a_duplicate_key_that_is_no_text_can_still_be_told() -> None:
    error = refused(rb'{"\ud800":1,"\ud800":2}')
    assert msgspec.json.encode(error.body("now"))


def test_a_key_that_is_no_text_is_named_as_far_as_it_can_be() -> None:
    error = refused({**MESSAGE, "a\ud800": 1})
    assert (error.code, error.details) == (Code.MALFORMED_JSON, {"a\\ud800": "must have no lone surrogates"})


def test_an_unknown_field_may_hold_anything() -> None:
    assert accepted({**MESSAGE, "unknown": ["\ud800", {"a": "\udfff"}, 1.5e300, 1e-400]}).user_id == MESSAGE["user_id"]


def test_a_duplicate_among_thousands_costs_no_more_than_reading_them() -> None:
    body = b"{" + b",".join(b'"%d":0' % number for number in range(8_000)) + b',"7999":0}'
    assert refused(body).details == {"7999": "is given more than once"}


@pytest.mark.parametrize("field", ["conversation_id", "user_id"])
@pytest.mark.parametrize(
    "value", [True, False, 1.5, 1.0, "1", 0, -1, LARGEST + 1, 2**64, 10**30, -(10**30), None, [], {}, [1]]
)
def test_a_wrong_id_is_named(field: str, value: object) -> None:
    error = refused({**MESSAGE, field: value})
    assert error.code is Code.VALIDATION_ERROR
    assert error.details == {field: "must be an integer from 1 to 2^53-1"}


def test_the_largest_id_is_taken() -> None:
    assert accepted({**MESSAGE, "user_id": LARGEST}).user_id == LARGEST


@pytest.mark.parametrize("field", MESSAGE)
def test_a_missing_field_is_named(field: str) -> None:
    error = refused({name: value for name, value in MESSAGE.items() if name != field})
    assert (error.code, error.details) == (Code.VALIDATION_ERROR, {field: "is required"})


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        " ",
        " \t\n\u00a0\u2003\u3000",
        "x" * 4_001,
        "😀" * 4_001,
        "a\x00b",
        "\ud800",
        "a\udfffb",
        7,
        ["x"],
        True,
    ],
)
def test_wrong_content_is_named(content: object) -> None:
    error = refused({**MESSAGE, "content": content})
    assert error.code is Code.VALIDATION_ERROR
    assert list(error.details) == ["content"]


@pytest.mark.parametrize("content", ["x", "x" * 4_000, "😀" * 4_000, "é" * 4_000, " x ", "a\nb\r\n\tc", "\x7f\u2028"])
def test_content_is_counted_in_characters_not_in_bytes(content: str) -> None:
    assert accepted({**MESSAGE, "content": content}).content == content


@pytest.mark.parametrize("content_type", ["", "TEXT", "image", None, 1, "\ud800", "text\udfff"])
def test_another_content_type_is_named(content_type: object) -> None:
    assert refused({**MESSAGE, "content_type": content_type}).details == {"content_type": "must be one of: text"}


@pytest.mark.parametrize(
    "client_id", ["", "x" * 65, "a\nb", "a\x00", "\x1b[2J", "a\x7f", "\x85", "\u2028", "\ud800", 7, True, []]
)
def test_a_wrong_client_id_is_named(client_id: object) -> None:
    error = refused({**MESSAGE, "client_id": client_id})
    assert error.details == {"client_id": "must be 1 to 64 printable characters"}


def test_a_client_id_has_characters_that_can_be_seen_and_spaces() -> None:
    unprintable = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}

    def taken(character: str) -> bool:
        return error_of(lambda: check({**MESSAGE, "client_id": character}, SendMessage)) is None

    for character in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(character)
        if category != "Cn":  # not assigned yet
            assert taken(character) == (category not in unprintable), f"U+{ord(character):04X}"


@pytest.mark.parametrize("kind", [SendMessage, FileReport, MessageFrame])
@pytest.mark.parametrize("client_id", ["a\u200b", "\u202ea", "\ue000"])
def test_a_client_id_is_the_same_in_bodies_and_in_frames(kind: type[msgspec.Struct], client_id: str) -> None:
    error = refused({"type": "message", **MESSAGE, **REPORT, "client_id": client_id}, kind)
    assert error.details == {"client_id": "must be 1 to 64 printable characters"}


@pytest.mark.parametrize("client_id", [None, "x", "x" * 64, "😀" * 64, "with space", "Ä-_./:"])
def test_a_client_id_may_be_any_short_printable_text(client_id: str | None) -> None:
    assert accepted({**MESSAGE, "client_id": client_id}).client_id == client_id


@pytest.mark.parametrize("report_type", ["", "SPAM", "rude", None, 1])
def test_another_report_type_is_named_with_those_there_are(report_type: object) -> None:
    error = refused({**REPORT, "report_type": report_type}, FileReport)
    assert error.details == {"report_type": "must be one of: spam, harassment, inappropriate, scam, underage, other"}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001, "\x00", None, 1])
def test_a_wrong_reason_is_named(reason: object) -> None:
    assert list(refused({**REPORT, "reason": reason}, FileReport).details) == ["reason"]


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "x" * 201), ("name", "\x00"), ("photo", "a b"), ("photo", "")]
)
def test_a_wrong_profile_is_named(field: str, value: str) -> None:
    assert list(refused({field: value}, UpdateUser).details) == [field]


def test_fields_that_nobody_knows_are_left_alone() -> None:
    assert accepted({**MESSAGE, "colour": {"deep": [1]}}).content == "hi"


def test_both_users_of_a_conversation_are_needed() -> None:
    assert refused({"user_id": 1}, OpenConversation).details == {"other_user_id": "is required"}


@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1000000000", "101", "x", "", " 1", "1 ", "1.5", "1e2", "+1", "\u0665", "9" * 50, "0x10", "true"],
)
def test_a_wrong_limit_in_a_query_is_named(value: str) -> None:
    with pytest.raises(ChatError) as error:
        check_query({"user_id": "1", "limit": value}, ListConversations)
    assert error.value.details == {"limit": "must be an integer from 1 to 100"}


@pytest.mark.parametrize("field", ["offset", "before_seq", "after_seq"])
@pytest.mark.parametrize("value", ["-1", "x", "", "9007199254740992", "9223372036854775808", "9" * 40])
def test_a_wrong_place_in_a_history_is_named(field: str, value: str) -> None:
    with pytest.raises(ChatError) as error:
        check_query({field: value}, ListMessages)
    assert error.value.details == {field: "must be an integer from 0 to 2^53-1"}


def test_a_page_has_its_defaults_and_its_bounds() -> None:
    assert check_query({"user_id": "7"}, ListConversations) == ListConversations(user_id=7, limit=20, offset=0)
    assert check_query({"limit": "200"}, ListMessages).limit == 200
    assert check_query({"limit": "007"}, ListMessages).limit == 7


def test_the_user_of_a_list_has_to_be_named() -> None:
    with pytest.raises(ChatError) as error:
        check_query({"limit": "7"}, ListConversations)
    assert error.value.details == {"user_id": "is required"}


def error_of(attempt: Callable[[], object]) -> ChatError | None:
    try:
        attempt()
    except ChatError as error:
        return error
    return None


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0\\udtrnaesl', max_size=200).map(str.encode))
def test_any_bytes_are_an_object_or_malformed(data: bytes) -> None:
    error = error_of(lambda: decode_object(data))
    if error is not None:
        assert error.code is Code.MALFORMED_JSON
        assert msgspec.json.encode(error.body("now"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(["conversation_id", "user_id", "content", "content_type", "client_id"]),
)
def test_any_value_in_any_field_is_taken_or_that_field_is_named(value: object, field: str) -> None:
    error = error_of(lambda: check({**MESSAGE, field: value}, SendMessage))
    if error is not None:
        assert (error.code, list(error.details)) == (Code.VALIDATION_ERROR, [field])
        assert msgspec.json.encode(error.body("now"))
