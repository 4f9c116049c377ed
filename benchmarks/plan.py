"""How much is measured: sizes and seconds of the full run and of the short one.

Everything is bounded: no measure takes longer than its seconds say, and no part longer than `part_seconds`.
"""

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Loads are `warmup` + `seconds` long and repeated `trials` times, after one of `heat` seconds that does not count:
    a JVM that has just started is slow.

    conversations: of the REST measures, each with `messages` messages, ten for each of its users. deep: messages in
    the long conversation. sockets: idle ones. settle: seconds before memory and processor are looked at.
    reconnecting: clients that come back at once, each with `behind` messages to catch up on. thorough: other
    durabilities, half rates, runs without caches and long histories too.
    """

    kind: str
    trials: int
    heat: float
    warmup: float
    seconds: float
    pairs: int = 100
    window: int = 8
    rate: float = 500
    concurrency: int = 32
    conversations: int
    messages: int
    deep: int
    sockets: int
    reconnecting: int
    behind: int = 100
    rest_sockets: int = 100
    rest_seconds: float
    starts: int
    floor_seconds: float
    settle: float
    thorough: bool
    part_seconds: float


FULL = Plan(
    kind="full",
    trials=3,
    heat=20,
    warmup=3,
    seconds=10,
    conversations=10_000,
    messages=60,
    deep=1_000_000,
    sockets=10_000,
    reconnecting=1_000,
    rest_seconds=30,
    starts=3,
    floor_seconds=5,
    settle=10,
    thorough=True,
    part_seconds=900,
)
SHORT = Plan(
    kind="short",
    trials=1,
    heat=5,
    warmup=2,
    seconds=4,
    conversations=500,
    messages=60,
    deep=10_000,
    sockets=500,
    reconnecting=100,
    rest_seconds=8,
    starts=1,
    floor_seconds=1,
    settle=3,
    thorough=False,
    part_seconds=150,
)
