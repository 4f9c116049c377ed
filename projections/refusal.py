"""Reasons for a worker to stop, each one clear line: what is wrong, where, and what to do."""

from schemas.ids import Partition


class Refusal(Exception):
    """The worker must not go on: what it would write could be wrong."""


class GaveUp(Exception):
    """Something the worker needs was away for too long; the supervisor starts it again."""


BEGIN_ANEW = (
    "if Kafka lost records, restore them; if the log is right as it is, give the worker an empty database, "
    "and it makes the tables from this log"
)
"""A rebuild cannot help: it ends with tables that equal the live ones, and those are not of this log."""


def gap(partition: Partition, expected: int, found: int) -> Refusal:
    """Records are missing from a topic that keeps all of them."""
    return Refusal(
        f"{partition.topic} partition {partition.partition}: expected offset {expected}, found {found}: "
        "records are missing: restore what Kafka has lost. (If it has lost none: the end of a transaction takes an "
        "offset and is no record, so nobody may write with transactions; see docs/operating.md.)"
    )


def other_record(partition: Partition, offset: int, expected: str | None, found: str | None) -> Refusal:
    """The last record that was applied is not in the log any more."""
    return Refusal(
        f"{partition.topic} partition {partition.partition}: the record at offset {offset} was {expected} when it was "
        f"applied, and is {found} now: the log was cut or made anew and written on; {BEGIN_ANEW}. "
        "(If somebody set the position by hand: last_ce_id must be null then.)"
    )


def outside(partition: Partition, stored: int, begin: int, end: int) -> Refusal:
    """The stored position is not in the log."""
    return Refusal(
        f"{partition.topic} partition {partition.partition}: the tables stand at offset {stored}, and the log has "
        f"{begin} to {end}: it was cut or made anew; {BEGIN_ANEW}"
    )


def other_log(expected: str, found: str) -> Refusal:
    """The epochs differ."""
    return Refusal(
        f"the tables were made from the log with epoch {expected}, and this one's is {found}: point the worker at the "
        "right Kafka, or give it an empty database"
    )


def unknown_partition(partition: Partition) -> Refusal:
    """A partition that the generation was not made with."""
    return Refusal(
        f"{partition.topic} partition {partition.partition} was not there when the tables were made: partitions were "
        "added, which moves keys to other partitions; a log never changes its partition count"
    )
