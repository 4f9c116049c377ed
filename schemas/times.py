"""Times: milliseconds since the epoch inside, RFC 3339 (section 5.6) in UTC with milliseconds and `Z` outside."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

Time = Annotated[
    str,
    Meta(
        pattern=r"\A\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z\Z",
        description="an RFC 3339 time in UTC with milliseconds, such as 2026-01-31T12:00:00.000Z",
    ),
]


def format_time(milliseconds: int) -> Time:
    """Write milliseconds since the epoch as `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_to_the_second(seconds)}.{rest:03}Z"


def write_time(moment: datetime) -> Time:
    """Write an aware UTC datetime as `2026-01-31T12:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


@lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def read_time(text: Time) -> datetime:
    """Read what `format_time` wrote; ValueError for a day that no calendar has."""
    return datetime.fromisoformat(text)
