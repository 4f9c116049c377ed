"""The judge's rules: given these records, when this one is read, then it counts or is void.

Random histories are in test_judge_histories.py.
"""

import pytest

from schemas.events import (
    AnyEvent,
    AsOf,
    ConversationBlocked,
    ConversationOpened,
    ConversationUnblocked,
    MessageRead,
    MessageSent,
    ReportFiled,
)
from schemas.judge import COUNTED, LIMIT, WINDOW, Judge, Judgement, Verdict

TIME = "2026-01-31T12:00:00.000Z"
ADA, BOB = 1, 2


def message(
    number: int, as_of: int, seq: int = 0, *, client_id: str | None = None, sender: int = ADA, recipient: int = BOB
) -> MessageSent:
    return MessageSent(
        message_id=number,
        conversation_id=100,
        sender_id=sender,
        recipient_id=recipient,
        content="x",
        content_type="text",
        client_id=client_id or f"client-{number}",
        sent_at=TIME,
        as_of=AsOf(as_of, seq),
    )


def opened(number: int, as_of: int, users: tuple[int, int] = (ADA, BOB)) -> ConversationOpened:
    return ConversationOpened(
        conversation_id=number, user_id=users[0], other_user_id=users[1], opened_at=TIME, as_of=AsOf(as_of)
    )


def report(number: int, as_of: int, client_id: str = "r", user: int = ADA) -> ReportFiled:
    return ReportFiled(
        report_id=number,
        conversation_id=100,
        user_id=user,
        reported_user_id=ADA + BOB - user,
        report_type="spam",
        reason="because",
        client_id=client_id,
        reported_at=TIME,
        as_of=AsOf(as_of),
    )


def blocked(user: int) -> ConversationBlocked:
    return ConversationBlocked(conversation_id=100, user_id=user, other_user_id=ADA + BOB - user, blocked_at=TIME)


def unblocked(user: int) -> ConversationUnblocked:
    return ConversationUnblocked(conversation_id=100, user_id=user, other_user_id=ADA + BOB - user, unblocked_at=TIME)


def counted(seq: int) -> Judgement:
    return Judgement(Verdict.COUNTED, seq=seq)


def duplicate(first: int) -> Judgement:
    return Judgement(Verdict.DUPLICATE, first=first)


BLOCKED, STALE = Judgement(Verdict.BLOCKED), Judgement(Verdict.STALE)


def judge(*events: AnyEvent | None, start: int = 0) -> Judgement:
    """Return the verdict on the last of these records, which lie at `start` and the following offsets."""
    judge = Judge()
    return [judge.judge(offset, event) for offset, event in enumerate(events, start)][-1]


def test_a_first_message_counts_and_is_number_1() -> None:
    assert judge(opened(100, 0), message(1, 1)) == counted(1)


def test_a_message_is_numbered_after_those_that_its_writer_knew_and_those_in_between() -> None:
    assert judge(message(1, 0), message(2, 0), message(3, 1, seq=1)) == counted(3)


def test_what_the_writer_knew_is_not_counted_twice() -> None:
    assert judge(message(1, 0), message(2, 1, seq=1)) == counted(2)


def test_messages_of_another_pair_do_not_count_in_between() -> None:
    assert judge(message(1, 0, sender=3), message(2, 0)) == counted(1)


def test_a_message_after_a_block_that_its_writer_had_not_seen_is_void() -> None:
    assert judge(blocked(ADA), message(1, 0)) == BLOCKED


def test_either_side_s_block_stops_both() -> None:
    assert judge(blocked(BOB), message(1, 0, sender=ADA, recipient=BOB)) == BLOCKED
    assert judge(blocked(BOB), message(1, 0, sender=BOB, recipient=ADA)) == BLOCKED


def test_a_block_that_was_taken_back_in_between_stops_nobody() -> None:
    assert judge(blocked(ADA), unblocked(ADA), message(1, 0)) == counted(1)


def test_only_the_blocker_takes_a_block_back() -> None:
    assert judge(blocked(ADA), unblocked(BOB), message(1, 0)) == BLOCKED
    assert judge(blocked(ADA), blocked(BOB), unblocked(ADA), message(1, 0)) == BLOCKED


def test_a_block_that_the_writer_had_seen_is_the_writer_s_to_judge() -> None:
    assert judge(blocked(ADA), message(1, 1)) == counted(1)


def test_a_block_of_another_pair_stops_nobody_here() -> None:
    elsewhere = ConversationBlocked(conversation_id=7, user_id=ADA, other_user_id=9, blocked_at=TIME)
    assert judge(elsewhere, message(1, 0)) == counted(1)


def test_a_void_message_has_no_number_and_takes_none() -> None:
    assert judge(blocked(ADA), message(1, 0), unblocked(ADA), message(2, 0)) == counted(1)


def test_a_retry_that_overtook_nothing_but_its_first_try_is_void_and_told_the_first() -> None:
    assert judge(message(1, 0, client_id="c"), message(2, 0, client_id="c")) == duplicate(1)


def test_a_third_try_is_told_the_first_too() -> None:
    tries = [message(number, 0, client_id="c") for number in (1, 2, 3)]
    assert judge(*tries) == duplicate(1)


def test_the_same_client_id_of_the_other_user_is_unrelated() -> None:
    mine, theirs = message(1, 0, client_id="c"), message(2, 0, client_id="c", sender=BOB, recipient=ADA)
    assert judge(mine, theirs) == counted(2)


def test_a_void_message_claims_no_client_id() -> None:
    events = blocked(ADA), message(1, 0, client_id="c"), unblocked(ADA), message(2, 0, client_id="c")
    assert judge(*events) == counted(1)


def test_a_retry_is_a_duplicate_even_after_a_block() -> None:
    assert judge(message(1, 0, client_id="c"), blocked(BOB), message(2, 0, client_id="c")) == duplicate(1)


def test_an_as_of_is_good_for_the_limit_and_no_longer() -> None:
    assert judge(message(1, 0), start=LIMIT) == counted(1)
    assert judge(message(1, 0), start=LIMIT + 1) == STALE


def test_nobody_vouches_for_the_future() -> None:
    assert judge(message(1, 6), start=5) == STALE


def test_the_second_opening_of_a_pair_is_void_and_told_the_first() -> None:
    assert judge(opened(100, 0), opened(101, 0, users=(BOB, ADA))) == duplicate(100)


def test_openings_of_other_pairs_are_their_own() -> None:
    assert judge(opened(100, 0), opened(101, 0, users=(ADA, 3))) == COUNTED


def test_an_opening_with_an_old_as_of_is_void() -> None:
    assert judge(opened(100, 0), start=LIMIT + 1) == STALE


def test_an_opening_is_no_message() -> None:
    assert judge(opened(100, 0), message(1, 0)) == counted(1)


def test_a_repeated_report_is_void_and_told_the_first() -> None:
    assert judge(report(1, 0), report(2, 0)) == duplicate(1)
    assert judge(report(1, 0), report(2, 0, client_id="another")) == COUNTED
    assert judge(report(1, 0), report(2, 0, user=BOB)) == COUNTED
    assert judge(report(1, 0), start=LIMIT + 1) == STALE


def test_reads_blocks_and_unblocks_always_count() -> None:
    read = MessageRead(message_id=1, conversation_id=100, reader_id=BOB, sender_id=ADA, up_to_seq=1, read_at=TIME)
    for event in (read, blocked(ADA), unblocked(ADA)):
        assert judge(event, event) == COUNTED


def test_a_record_that_cannot_be_decoded_only_takes_its_place() -> None:
    assert judge(None) == COUNTED
    assert judge(message(1, 0), None, message(2, 0)) == counted(2)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    judge = Judge()
    judge.judge(0, message(1, 0))
    judge.judge(WINDOW, None)
    assert judge._order
    judge.judge(WINDOW + 1, None)
    assert not judge._order
    assert not judge._evidence


@pytest.mark.parametrize(("windows", "agrees"), [(3, True), (2, False)])
def test_a_reader_has_to_start_three_limits_early(windows: int, agrees: bool) -> None:
    """The worst case: each record is as late as it may be, and each explains the verdict on the next."""
    act = 10 * LIMIT
    before = act - 2 * LIMIT - 1
    log: dict[int, AnyEvent] = {
        before: blocked(BOB),
        before + 1: message(1, before, client_id="c"),  # void: blocked
        before + 2: unblocked(BOB),
        before + LIMIT: message(2, before, client_id="c"),  # counts: the block was taken back
        act - LIMIT: message(3, before + LIMIT, client_id="c"),  # void: a retry of the second
        act: message(4, act - LIMIT, seq=1),  # counts, as number 2
    }
    whole, late = Judge(), Judge()
    verdicts = [whole.judge(offset, event) for offset, event in log.items()]
    acted = [late.judge(offset, event) for offset, event in log.items() if offset >= act - windows * LIMIT]
    assert verdicts[-1] == counted(2)
    assert (acted[-1] == verdicts[-1]) is agrees
    assert (windows * LIMIT >= WINDOW) is agrees
