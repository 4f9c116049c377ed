"""The topics of the log: declared once, created at start-up where missing, refused where they contradict this.

Settings are Kafka's topic configurations, by their names and as text (kafka.apache.org, "Topic Configs").
"""

from types import MappingProxyType
from typing import Final

from msgspec import Struct

PREFIX: Final = "chat."
CONVERSATIONS: Final = "chat.conversations"
MODERATION: Final = "chat.moderation"
USERS: Final = "chat.users"
PRESENCE: Final = "chat.presence"
LAST_SEEN: Final = "chat.last-seen"
IDS: Final = "chat.ids"

FOREVER = MappingProxyType({"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"})
COMPACTED = MappingProxyType({"cleanup.policy": "compact", "delete.retention.ms": str(10 * 365 * 24 * 60 * 60 * 1_000)})
"""A record that erases stays for ten years: tables that stood still, or were restored, must not miss it."""
TEN_MINUTES = MappingProxyType(
    {"cleanup.policy": "delete", "retention.ms": "600000", "segment.ms": "300000", "segment.bytes": "16777216"}
)
AT_ONCE, WHEN_THE_SYSTEM_DOES = "1", str(2**63 - 1)
"""`flush.messages`: each batch goes to the disk before it is acknowledged, or when the operating system writes it."""

EVERY_TOPIC = MappingProxyType(
    {
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": "1048588",
    }
)


class Topic(Struct, frozen=True, kw_only=True):
    """A topic: its name, how long it keeps records, and who reads it.

    `partitions` is None where the log's partition count applies, which is chosen when the log is made and never
    changes. `projected`: the projections read it. `ephemeral`: a power cut may take its last records.
    """

    name: str
    kept: MappingProxyType[str, str]
    partitions: int | None = None
    projected: bool = False
    ephemeral: bool = False
    always_flushed: bool = False

    @property
    def compacted(self) -> bool:
        """Offsets of a compacted topic have gaps; those of the others are contiguous."""
        return self.kept["cleanup.policy"] == "compact"

    def config(self, *, flush: bool) -> dict[str, str]:
        """Return the topic's configuration; `flush`: one broker alone, so each batch goes to the disk at once."""
        flushed = self.always_flushed or (flush and not self.ephemeral)
        return {**EVERY_TOPIC, **self.kept, "flush.messages": AT_ONCE if flushed else WHEN_THE_SYSTEM_DOES}


TOPICS: Final = (
    Topic(name=CONVERSATIONS, kept=FOREVER, projected=True),
    Topic(name=MODERATION, kept=FOREVER, projected=True),
    Topic(name=USERS, kept=COMPACTED, projected=True),
    Topic(name=PRESENCE, kept=TEN_MINUTES, ephemeral=True),
    Topic(name=LAST_SEEN, kept=COMPACTED, projected=True),
    Topic(name=IDS, kept=FOREVER, partitions=1, always_flushed=True),
)
BY_NAME: Final = MappingProxyType({topic.name: topic for topic in TOPICS})
