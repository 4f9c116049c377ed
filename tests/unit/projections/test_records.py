"""projections/records.py: what a fold is given, and what becomes of what it cannot be."""

import random
from dataclasses import replace

from infra.placing import place
from projections.records import ce_id, dead_letter, judged
from schemas import topics
from schemas.envelope import BadRecord
from schemas.events import UserUpdated
from schemas.judge import Judge
from tests.histories import Entry, History


def entry(*headers: tuple[str, bytes], timestamp: int = 0) -> Entry:
    return Entry(topics.CONVERSATIONS, 3, 7, timestamp, None, b"{", headers)


def test_void_records_are_left_out_and_bad_ones_keep_their_place() -> None:
    history = History(random.Random(1), partitions=1)
    entries = [one for one in history.steps(400) if one.topic == topics.CONVERSATIONS]
    found = judged(entries, Judge(), 1)

    assert 0 < len(found) < len(entries)
    assert [record.raw.offset for record in found] == sorted(record.raw.offset for record in found)
    bad = {record.raw.offset for record in found if isinstance(record.event, BadRecord)}
    assert bad >= {one.offset for one in entries if ("x-bad", b"1") in one.headers}


def test_a_record_that_does_not_lie_in_its_keys_partition_is_a_bad_one() -> None:
    update = Entry(topics.USERS, place(b"7", 4), 0, 0, b"7", b'{"user_id":7}', (("ce_type", b"chat.user.updated.v1"),))
    elsewhere = replace(update, partition=(update.partition + 1) % 4)
    ((right,), (wrong,)) = (judged([one], Judge(), 4) for one in (update, elsewhere))

    assert right.event == UserUpdated(user_id=7)
    assert str(wrong.event) == f"the key b'7' belongs in partition {update.partition}"


def test_a_dead_letter_can_be_stored_whatever_the_record_holds() -> None:
    letter = dead_letter(entry(("ce_id", b"a\x00b"), ("ce_type", b"\xff"), timestamp=-5), "because \x00")
    assert (letter.ce_id, letter.ce_type, letter.reason) == ("a\\x00b", None, "because \\x00")
    assert letter.recorded_at.year == 1970
    assert dead_letter(entry(timestamp=10**18), "x" * 5_000).recorded_at.year == 9999


def test_a_record_without_a_ce_id_has_none() -> None:
    assert ce_id(entry()) is None
