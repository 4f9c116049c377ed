"""infra/kafka.py reaches into aiokafka; what it does with a real server is in tests/integration/test_servers.py."""

import inspect

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher


def test_aiokafka_has_what_is_set_there() -> None:
    """Private names, which another version may have no more."""
    parameters = inspect.signature(AIOKafkaConsumer.__init__).parameters
    assert {"fetch_min_bytes", "fetch_max_wait_ms"} <= parameters.keys()
    settled = inspect.getsource(Fetcher.__init__)
    assert "self._fetch_min_bytes" in settled
    assert "self._fetch_max_wait_ms" in settled
