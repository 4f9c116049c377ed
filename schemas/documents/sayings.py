"""What the AsyncAPI document says in words, where a schema cannot."""

from typing import Any, NamedTuple

from schemas import topics

DESCRIPTION = """\
Two things in one document: the socket that clients hold, and the topics that downstream services read.

The log is the database: every state of the service follows from the records of these topics in their order. A value \
gains optional members only; any other change is a new version of its type. A key lies in the partition that Kafka's \
own clients choose for it (murmur2). A record that is none of these events, whose key does not fit its value or its \
partition, or whose conversation was never opened, changes nothing.

Write to no topic with transactions: the end of one has an offset and is no record. Whoever reads all records takes it \
for one that is missing, and whoever waits for the end of the topic waits in vain.
"""

CONNECT = """\
JSON text frames of at most 64 KiB, each with a `type`. A client's frame may carry `ref`, which its answer or its \
error repeats. Instead of the query's `token` a client may offer the subprotocols `chat.v1, bearer.<JWT>`; the server \
selects `chat.v1`. The address with its query may have 8,000 characters.

Durable frames (`ack`, `message`, `read`, `conversation`, `blocked`, `unblocked`) carry the `position` of their record \
and come in its order within a partition; only the ack of a retry repeats the first one's position and is exempt.

To resume, keep the last `cursor` that `connected`, `heartbeat` or `resync` brought and, of each partition, the \
highest position since; any cursor replaces both. Give them back when connecting: what was missed follows `connected` \
(`resumed`: true), and a heartbeat with the new cursor ends the catch-up. After `resync` read the lists and histories \
again.

Close codes: 1000, 1001 (the edge goes away: reconnect with the cursor), 1003 (binary), 1007 (not UTF-8), 1009 (too \
big), 1011, 4401 (no good token, or expired), 4408 (no heartbeat), 4413 (too slow: reconnect with the cursor), 4429 \
(too many sockets). Do not reconnect by yourself after 1000, 4401 and 4429.
"""
CONNECT_QUERY = {
    "token": "the JWT; or offer the subprotocol `bearer.<JWT>`",
    "cursor": "the last cursor, to resume",
    "positions": "the highest position of each partition since that cursor: `3:1042,7:99`",
    "batch": "`1`: several frames may come as one JSON array",
}

VOID = """\

**Not every record counts.** Kafka has no \"append if nothing changed\", so a record may have been overtaken, and its \
reader judges it. `as_of` is what the writer vouches for: it had folded all of this partition before `as_of.offset`, \
where the conversation's last number was `as_of.seq`. Read a partition in order; of each pair (the key) keep the \
records of the last {window} offsets. Then
"""


class Said(NamedTuple):
    """A topic in words, and the schema of its keys."""

    description: str
    key: dict[str, Any]


_PAIR = {
    "type": "string",
    "pattern": "^[1-9][0-9]*:[1-9][0-9]*$",
    "description": 'the two users, the lower id first: `"7:12"`; all of a pair is in one partition, in order',
}
_USER = {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "the user id in decimal digits"}

OF_TOPIC = {
    topics.CONVERSATIONS: Said(
        "What happened between pairs of users, kept for ever.\n"
        + VOID
        + """\
- a `MessageSent` is void if its `as_of.offset` is more than {limit} offsets before its own, or after it; or if \
between its `as_of` and itself there is a counted message of the same sender with the same `client_id` (a retry: that \
one counts), or a `ConversationBlocked` by either user that the same user has not taken back there;
- otherwise it counts, and its number is `as_of.seq` + the counted messages of the pair in between + 1: dense, 1, 2, \
3, …;
- a `ConversationOpened` is void if its `as_of.offset` is that old, or if another one of the pair counts in between;
- all other records count. A repeated block or unblock changes nothing; a read moves a watermark, only forward.

Void records change nothing and claim nothing. To start in the middle, begin {window} offsets earlier and judge \
without acting. An exact count needs this rule; a count of raw records is an upper bound.
""",
        _PAIR,
    ),
    topics.MODERATION: Said(
        "Reports to the moderators, kept for ever. Never pushed to clients.\n"
        + VOID
        + """\
a `ReportFiled` is void if its `as_of.offset` is more than {limit} offsets before its own, or if between its `as_of` \
and itself a report of the same user with the same `client_id` counts.
""",
        _PAIR,
    ),
    topics.USERS: Said(
        "How users are shown, as the profile service publishes it; compacted, the last record of a user counts. "
        "A record without a value erases the user's profile, and stays for ten years.",
        _USER,
    ),
    topics.PRESENCE: Said(
        "Who is connected where, and who is typing; ephemeral, kept for ten minutes. An edge that was silent for 15 s, "
        "or has another `boot`, has none of its former sockets any more.",
        {"type": "string", "description": "the user id in decimal digits; for an edge's beat the edge's name"},
    ),
    topics.LAST_SEEN: Said(
        "When users' last sockets closed; compacted, the latest time of a user counts. "
        "A record without a value erases it, and stays for ten years.",
        _USER,
    ),
    topics.IDS: Said(
        "Leases of ids: the lease at offset n is the ids from n x 1,000 to n x 1,000 + 999. One partition; its first "
        "record names the log (`epoch`) and the number of partitions of the keyed topics. Kept for ever.",
        {"type": "null"},
    ),
}
