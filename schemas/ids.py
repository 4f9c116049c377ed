"""Ids, the pair key, and where a record lies in the log."""

import re
from functools import lru_cache
from typing import Annotated, NamedTuple

from msgspec import Meta

from schemas.topics import CONVERSATIONS, PREFIX

MAX_ID = 2**53 - 1
"""The largest integer that JavaScript holds exactly."""

BLOCK_SIZE = 1_000
"""Ids in one lease: the lease at offset n of `chat.ids` is the ids n * BLOCK_SIZE up to the next block."""

_POSITION = re.compile(r"(?:([a-z-]{1,20})/)?([0-9]{1,5}):([0-9]{1,16})", re.ASCII)

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="an integer from 1 to 2^53-1")]


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


class Position(NamedTuple):
    """The place of one record in the log of conversations; written `partition:offset` for clients."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@lru_cache(maxsize=20_000)  # an event's key is asked for four times, and texts that are the same are compared faster
def pair_key(user_id: int, other_user_id: int) -> str:
    """Return the record key of two users' conversation: `"<lower id>:<higher id>"`, whichever asks.

    ValueError when they are one.
    """
    if user_id == other_user_id:
        raise ValueError(f"user {user_id} is no pair")
    return f"{user_id}:{other_user_id}" if user_id < other_user_id else f"{other_user_id}:{user_id}"


def write_position(partition: Partition, offset: int) -> str:
    """Write where a record lies for `Chat-Position`: `3:1042` in the log of conversations, `users/3:7` elsewhere."""
    topic = "" if partition.topic == CONVERSATIONS else partition.topic.removeprefix(PREFIX) + "/"
    return f"{topic}{partition.partition}:{offset}"


def read_position(text: str) -> tuple[Partition, int]:
    """Read what `write_position` wrote; ValueError for anything else."""
    found = _POSITION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a position")
    topic, partition, offset = found.groups()
    return Partition(PREFIX + topic if topic else CONVERSATIONS, int(partition)), int(offset)
