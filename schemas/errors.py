"""Every way in which a request can fail: its code, its HTTP status, and the body that clients get.

The one table for HTTP and sockets. Infrastructure raises `Unavailable`; everything else is the client's to mend.
"""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any


class Code(StrEnum):
    """The codes of the contract; `STATUS` has the HTTP status of each."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    MALFORMED_JSON = "MALFORMED_JSON"
    UNAUTHORIZED = "UNAUTHORIZED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  # a code, no password
    FORBIDDEN = "FORBIDDEN"
    CONVERSATION_BLOCKED = "CONVERSATION_BLOCKED"
    CONVERSATION_NOT_FOUND = "CONVERSATION_NOT_FOUND"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CLIENT_ID_CONFLICT = "CLIENT_ID_CONFLICT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"


STATUS: Mapping[Code, HTTPStatus] = {
    Code.VALIDATION_ERROR: HTTPStatus.BAD_REQUEST,
    Code.MALFORMED_JSON: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Code.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.CONVERSATION_BLOCKED: HTTPStatus.FORBIDDEN,
    Code.CONVERSATION_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.MESSAGE_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.USER_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Code.CLIENT_ID_CONFLICT: HTTPStatus.CONFLICT,
    Code.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Code.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class ChatError(Exception):
    """A request that fails: a sentence for people, a code for programs, and what is wrong with each field.

    `retry_after`: whole seconds after which the same request may succeed (RFC 9110, section 10.2.3).
    """

    def __init__(
        self, code: Code, error: str, details: Mapping[str, Any] | None = None, *, retry_after: int | None = None
    ) -> None:
        super().__init__(error)
        self.code = code
        self.error = error
        self.details = dict(details or {})
        self.retry_after = retry_after
        if retry_after is not None:
            self.details["retry_after"] = retry_after

    @property
    def status(self) -> HTTPStatus:
        return STATUS[self.code]

    def body(self, now: str) -> dict[str, Any]:
        """Return the mission's error body; `now` is an RFC 3339 time."""
        return {"error": self.error, "code": self.code.value, "details": self.details, "timestamp": now}


class Unavailable(ChatError):
    """Something that the request needs is away; when a write was under way, its outcome may be unknown."""

    def __init__(self, error: str, *, retry_after: int = 1) -> None:
        super().__init__(Code.SERVICE_UNAVAILABLE, error, retry_after=retry_after)


class Failed(ChatError):
    """What nobody foresaw; the log of this process has it."""

    def __init__(self) -> None:
        super().__init__(Code.INTERNAL_ERROR, "something went wrong here")


def invalid(field: str, wrong: str) -> ChatError:
    """Return the error for a request whose one field is wrong."""
    return ChatError(Code.VALIDATION_ERROR, f"{field}: {wrong}", {field: wrong})


def forbidden(error: str) -> ChatError:
    """Return the error for something that this user may not do."""
    return ChatError(Code.FORBIDDEN, error)
