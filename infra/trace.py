"""Trace Context (W3C, level 1): the `traceparent` that a request brings, or a new one, goes along with its events."""

import random
import re
from contextvars import ContextVar

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_random = random.Random()  # noqa: S311  # unique, not secret, and made for every event
_brought: ContextVar[str | None] = ContextVar("traceparent", default=None)


def bring(traceparent: str | None) -> None:
    """Take the header of the request that this task serves; anything malformed is as good as none."""
    _brought.set(traceparent if traceparent and _FORM.fullmatch(traceparent) else None)


def traceparent() -> str:
    """Return what the request brought, or the beginning of a new trace."""
    return _brought.get() or f"00-{_random.getrandbits(128) | 1:032x}-{_random.getrandbits(64) | 1:016x}-01"
