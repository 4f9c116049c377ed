"""Doors: the addresses where clients come in, and how they are served."""

import logging
import socket
from pathlib import Path

import pytest

from gateway.doors import bind, config
from infra.embedded.ports import free_ports
from infra.part import StartError
from infra.settings import load_settings
from schemas.validation import MAX_BYTES

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of uvicorn silences its own loggers for the whole process."""
    for name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "handlers", logger.handlers)
        monkeypatch.setattr(logger, "propagate", logger.propagate)
        monkeypatch.setattr(logger, "level", logger.level)


def test_an_address_that_is_taken_is_one_clear_line() -> None:
    (port,) = free_ports(1)
    with bind(LOOPBACK, port, shared=False) as taken:
        taken.listen()
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(LOOPBACK, port, shared=False)


def test_a_host_that_nobody_knows_is_one_clear_line() -> None:
    with pytest.raises(StartError, match=r"cannot listen on no\.such\.host\.invalid:1"):
        bind("no.such.host.invalid", 1, shared=False)


def test_an_address_may_be_shared_by_those_who_agree() -> None:
    (port,) = free_ports(1)
    with bind(LOOPBACK, port, shared=True), bind(LOOPBACK, port, shared=True) as second:
        assert second.getsockname()[1] == port


def test_a_bound_address_takes_nobody_in_yet() -> None:
    (port,) = free_ports(1)
    with bind(LOOPBACK, port, shared=True), socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect((LOOPBACK, port))


async def nothing(*_: object) -> None:
    pass


def test_no_log_line_has_an_address_with_a_token(tmp_path: Path) -> None:
    settings = load_settings({"CHAT_HOME": str(tmp_path)}, discover=False)
    served = config(nothing, settings)
    assert not served.access_log
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert served.ws_max_size == MAX_BYTES
    assert served.ws_per_message_deflate
