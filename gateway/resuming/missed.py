"""What a user missed, out of one snapshot of the read tables: the rows since a client's cursor, as durable frames.

Messages, reads and opened conversations once each, of blocks the latest state; all merged by position, since a client
keeps the highest. Only SQL; the frames are in told_rows.py, and when to ask is resume.py's.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.resuming import told_rows
from gateway.sockets.session import Given, Positions
from infra.read_tables import Snapshot
from schemas.ids import MAX_ID

MOST_MESSAGES = 10_000
MOST_CHARACTERS = 2_000_000
"""More than this is not told again: the client reads the lists and histories."""

FIRST_PAGE = 50

# Whatever happened to a conversation since then has moved its record_offset; `since` is that of its partition.
_TOUCHED = """
SELECT c.id, c.partition, s.since, c.lower_user_id, c.higher_user_id, c.last_seq, c.opened_at, i.opened_offset,
    u.name, u.photo
FROM {schema}.inbox AS i
JOIN {schema}.conversations AS c ON c.id = i.conversation_id
JOIN unnest($2::int[], $3::bigint[]) AS s(partition, since) ON s.partition = c.partition
LEFT JOIN {schema}.users AS u ON u.id = c.lower_user_id + c.higher_user_id - i.user_id
WHERE i.user_id = $1 AND c.record_offset >= s.since
"""
_MESSAGES = """
SELECT m.conversation_id, m.seq, m.id, m.sender_id, m.content, m.content_type, m.client_id, m.created_at,
    m.record_offset
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS page(id, low, high, since)
JOIN {schema}.messages AS m ON m.conversation_id = page.id AND m.seq > page.low AND m.seq <= page.high
WHERE m.record_offset >= page.since
LIMIT $5
"""
_READS = """
SELECT r.*
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS page(id, reader, below, since)
JOIN LATERAL (
    SELECT conversation_id, reader_id, up_to_seq, message_id, read_at, record_offset FROM {schema}.reads
    WHERE conversation_id = page.id AND reader_id = page.reader AND up_to_seq < page.below
    ORDER BY up_to_seq DESC LIMIT $5
) AS r ON r.record_offset >= page.since
LIMIT $6
"""
_BLOCKS = """
SELECT b.user_id, b.conversation_id, b.blocked_at, b.unblocked_at, b.record_offset
FROM unnest($1::bigint[], $2::bigint[]) AS w(id, user_id)
JOIN {schema}.blocked_users AS b ON b.user_id = w.user_id AND b.conversation_id = w.id
"""


class TooMuch(Exception):
    """More was missed than is told again."""


class _Page:
    """Numbers of one conversation's messages that are still to be looked at: those after `low`, up to `high`."""

    __slots__ = ("high", "low", "row")

    def __init__(self, row: Any) -> None:
        self.row = row
        self.high: int = row["last_seq"]
        self.low = max(0, self.high - FIRST_PAGE)


async def missed(snapshot: Snapshot, user_id: int, start: Positions) -> list[Given]:
    """Return everything that concerns a user from these offsets on, in the order of each partition; TooMuch."""
    touched = {
        row["id"]: row for row in await snapshot.fetch(_TOUCHED, user_id, list(start.keys()), list(start.values()))
    }
    if not touched:
        return []
    rows = list(touched.values())
    blocks = await _blocks(snapshot, rows)
    found = [told_rows.opened(row, user_id) for row in rows if row["opened_offset"] >= row["since"]]
    found += [told_rows.message(message, touched, user_id) for message in await _messages(snapshot, rows)]
    found += [told_rows.read(read, touched) for read in await _reads(snapshot, rows, user_id, blocks)]
    found += [
        told_rows.block(block, touched)
        for block in blocks
        if block["user_id"] == user_id and block["record_offset"] >= touched[block["conversation_id"]]["since"]
    ]
    found.sort(key=lambda given: (given.partition, given.offset))
    return found


async def _blocks(snapshot: Snapshot, rows: Sequence[Any]) -> list[Any]:
    """Return the latest block of either user of each conversation."""
    users = [row["lower_user_id"] for row in rows] + [row["higher_user_id"] for row in rows]
    return await snapshot.fetch(_BLOCKS, [row["id"] for row in rows] * 2, users)


async def _reads(snapshot: Snapshot, rows: Sequence[Any], user_id: int, blocks: Sequence[Any]) -> list[Any]:
    """Page back through how far either user has read; of the other what was read before a block that is in force."""
    before = _in_force(blocks)
    pages = {(row["id"], reader): MAX_ID for row in rows for reader in (row["lower_user_id"], row["higher_user_id"])}
    since = {row["id"]: row["since"] for row in rows}
    found: list[Any] = []
    size = FIRST_PAGE
    while pages:
        some = await snapshot.fetch(
            _READS,
            [conversation_id for conversation_id, _ in pages],
            [reader for _, reader in pages],
            list(pages.values()),
            [since[conversation_id] for conversation_id, _ in pages],
            size,
            MOST_MESSAGES + 1,
        )
        found += [
            row for row in some if row["reader_id"] == user_id or row["record_offset"] < before[row["conversation_id"]]
        ]
        if max(len(some), len(found)) > MOST_MESSAGES:
            raise TooMuch
        pages = _earlier(some, size)
        size *= 4
    return found


def _in_force(blocks: Sequence[Any]) -> Mapping[int, int]:
    """Return of each conversation where a block begins that is in force; past every record where there is none."""
    first: defaultdict[int, int] = defaultdict(lambda: MAX_ID)
    for block in blocks:
        if block["unblocked_at"] is None:
            first[block["conversation_id"]] = min(first[block["conversation_id"]], block["record_offset"])
    return first


def _earlier(found: Sequence[Any], size: int) -> dict[tuple[int, int], int]:
    """Return the readers of whom a whole page was missed, and the number below which the next one begins."""
    seqs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for row in found:
        seqs[row["conversation_id"], row["reader_id"]].append(row["up_to_seq"])
    return {reader: min(numbers) for reader, numbers in seqs.items() if len(numbers) == size}


async def _messages(snapshot: Snapshot, rows: Sequence[Any]) -> list[Any]:
    """Page back through each conversation, in steps that grow, until a message lies before its `since`."""
    found: list[Any] = []
    pages = [_Page(row) for row in rows if row["last_seq"]]
    while pages:
        some = await snapshot.fetch(
            _MESSAGES,
            [page.row["id"] for page in pages],
            [page.low for page in pages],
            [page.high for page in pages],
            [page.row["since"] for page in pages],
            MOST_MESSAGES + 1,
        )
        found += some
        if len(found) > MOST_MESSAGES or sum(len(row["content"]) for row in found) > MOST_CHARACTERS:
            raise TooMuch
        pages = list(_further(pages, some))
    return found


def _further(pages: Sequence[_Page], found: Sequence[Any]) -> Iterator[_Page]:
    """Yield those whose whole page was missed: there may be more before it."""
    counts: dict[int, int] = {}
    for row in found:
        counts[row["conversation_id"]] = counts.get(row["conversation_id"], 0) + 1
    for page in pages:
        size = page.high - page.low
        if page.low and counts.get(page.row["id"]) == size:
            page.high = page.low
            page.low = max(0, page.high - 4 * size)
            yield page
