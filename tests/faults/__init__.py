"""Faults: real processes, real signals, load running all the while; `make faults` runs them at their full length.

The number in a test's docstring is that of the list that the project was built against.
"""

import os

FULL = os.environ.get("FAULTS") == "full"
"""Whether to take the time of the full list; the test command runs a short form."""


def scaled(short: int, full: int) -> int:
    """Return how much of something to do."""
    return full if FULL else short
