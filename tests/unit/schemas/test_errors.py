"""Every error of the contract, in one table."""

import pytest

from schemas.errors import STATUS, ChatError, Code, Unavailable, forbidden, invalid

NOW = "2026-01-31T12:00:00.000Z"
CONTRACT = {
    400: {"VALIDATION_ERROR", "MALFORMED_JSON"},
    401: {"UNAUTHORIZED", "TOKEN_EXPIRED"},
    403: {"FORBIDDEN", "CONVERSATION_BLOCKED"},
    404: {"CONVERSATION_NOT_FOUND", "MESSAGE_NOT_FOUND", "USER_NOT_FOUND", "NOT_FOUND"},
    405: {"METHOD_NOT_ALLOWED"},
    409: {"CLIENT_ID_CONFLICT"},
    413: {"PAYLOAD_TOO_LARGE"},
    415: {"UNSUPPORTED_MEDIA_TYPE"},
    429: {"RATE_LIMITED"},
    500: {"INTERNAL_ERROR"},
    503: {"SERVICE_UNAVAILABLE"},
}


def test_the_table_is_that_of_the_contract() -> None:
    assert {status: {code for code in Code if STATUS[code] == status} for status in set(STATUS.values())} == CONTRACT


@pytest.mark.parametrize("code", Code)
def test_every_error_has_the_same_body(code: Code) -> None:
    body = ChatError(code, "a sentence", {"field": "what is wrong"}).body(NOW)
    assert body == {"error": "a sentence", "code": code.value, "details": {"field": "what is wrong"}, "timestamp": NOW}


def test_a_wrong_field_is_named_in_the_sentence_and_in_the_details() -> None:
    error = invalid("limit", "must be an integer from 1 to 100")
    assert (error.status, error.code) == (400, Code.VALIDATION_ERROR)
    assert error.error == "limit: must be an integer from 1 to 100"
    assert error.details == {"limit": "must be an integer from 1 to 100"}


def test_what_may_be_tried_again_says_when_in_the_details_too() -> None:
    error = ChatError(Code.RATE_LIMITED, "slowly", retry_after=7)
    assert error.retry_after == error.details["retry_after"] == 7
    assert Unavailable("away").retry_after == 1
    assert Unavailable("away", retry_after=5).status == 503


def test_what_may_not_be_done_is_forbidden() -> None:
    assert (forbidden("no").status, forbidden("no").details) == (403, {})
