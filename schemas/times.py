"""Times: milliseconds since the epoch inside, RFC 3339 (section 5.6) in UTC with milliseconds and `Z` outside."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

Time = Annotated[
    str,
    Meta(
        pattern=r"\A\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z\Z",
        description="an RFC 3339 time in UTC with milliseconds, such as 2026-01-31T12:00:00.000Z",
    ),
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(milliseconds: int) -> Time:
    """Write milliseconds since the epoch as `2026-01-31T12:00:00.000Z`."""
    return write_time(_EPOCH + timedelta(milliseconds=milliseconds))


def write_time(moment: datetime) -> Time:
    """Write an aware UTC datetime as `2026-01-31T12:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def read_time(text: Time) -> datetime:
    """Read what `format_time` wrote; ValueError for a day that no calendar has."""
    return datetime.fromisoformat(text)
