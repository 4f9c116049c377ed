"""Trace Context (W3C, level 1): the `traceparent` that a request brings, or a new one, goes along with its events."""

import random
import re
from contextvars import ContextVar

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NEITHER_IS_ZERO = 1 << 64 | 1
_random = random.Random()  # noqa: S311  # unique, not secret, and made for every event
_brought: ContextVar[str | None] = ContextVar("traceparent", default=None)


def bring(traceparent: str | None) -> None:
    """Take the header of the request that this task serves; anything malformed is as good as none."""
    _brought.set(traceparent if traceparent and _FORM.fullmatch(traceparent) else None)


def traceparent() -> str:
    """Return what the request brought, or the beginning of a new trace."""
    if (brought := _brought.get()) is not None:
        return brought
    ids = f"{_random.getrandbits(192) | _NEITHER_IS_ZERO:048x}"
    return f"00-{ids[:32]}-{ids[32:]}-01"
