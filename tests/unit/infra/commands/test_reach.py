import pytest

from infra.commands import reach
from infra.part import StartError
from infra.settings import load_settings

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": NOBODY}, f"Kafka at {NOBODY} does not answer"),
        ({"DATABASE_URL": f"postgresql://chat@{NOBODY}/chat"}, f"Postgres at {NOBODY}/chat does not answer"),
    ],
)
async def test_a_server_that_does_not_come_is_named_once_and_in_the_end(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    monkeypatch.setattr(reach, "PAUSE", 0.01)
    said: list[str] = []
    with pytest.raises(StartError, match=f"^{named}"):
        await reach.wait_for(load_settings(given, discover=False), 0.2, said.append)
    assert len(said) == 1
    assert said[0].startswith(named)
    assert said[0].endswith("; waiting for it")


async def test_nobody_waits_for_servers_that_are_not_given() -> None:
    await reach.wait_for(load_settings({}, discover=False), 0, pytest.fail)
