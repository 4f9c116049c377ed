"""`chat up` as a whole: what it starts, what it survives, what it refuses, and how it ends."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from infra import running
from infra.commands import up
from infra.embedded.ports import LOOPBACK, free_ports
from infra.http_client import Answer, ask, wait_until_ready
from tests.support.system import System, start_system


async def until(true: Callable[[], bool], within: float = 30) -> None:
    """Wait for a condition, with a bound."""
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.05)


async def lists(system: System, within: float = 60) -> Answer:
    """Return user 1's conversations as soon as they can be read."""
    async with asyncio.timeout(within):
        while True:
            try:
                answer = await ask("GET", f"{system.url}/chat/conversations?user_id=1", token=system.token(1))
                if answer.status != 503:
                    return answer
            except OSError:
                pass
            await asyncio.sleep(0.1)


def part(home: Path, name: str) -> running.Process:
    """Return the process of a part as it is now."""
    return (running.read_running(home) or pytest.fail("nothing runs")).parts[name]


@asynccontextmanager
async def begun(home: Path, *options: str, out: int = PIPE, **environ: str) -> AsyncIterator[Process]:
    """Run `chat up`, and what it prints into `out`; whatever it does, it is gone afterwards."""
    home.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli",
        "up",
        *options,
        env={**os.environ, "CHAT_HOME": str(home), **environ},
        cwd=home,
        stdout=out,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: Process) -> tuple[int | None, list[str]]:
    """Return its status and what it has said."""
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode().splitlines()


async def test_everything_serves_and_says_where(system: System) -> None:
    assert (await ask("GET", f"{system.url}/readyz")).status == 200
    found = running.read_running(system.home)
    assert found is not None
    assert (found.url, found.edges, found.kafka_bootstrap_servers) == (system.url, system.edges, system.kafka)
    assert set(found.parts) == {"kafka-1", "postgres", "worker-1", "edge-1"}
    listed = await lists(system)
    assert [conversation["other_user_name"] for conversation in listed.content["conversations"]] == ["Ben"]


async def test_a_killed_part_is_started_again_and_named() -> None:
    async with start_system() as system:
        for name in ("edge-1", "worker-1", "postgres", "kafka-1"):
            before = system.part(name)
            os.kill(before.pid, signal.SIGKILL)
            await until(lambda name=name, before=before: system.part(name) != before)  # type: ignore[misc]
            assert f"chat: {name} was killed by SIGKILL; starting it again in 0.5 s" in system.output()
        await until(lambda: system.part("edge-1").alive())
        assert (await lists(system)).status == 200


async def test_two_edges_share_an_address_and_each_has_its_own() -> None:
    async with start_system("--edges", "2", "--workers", "2") as system:
        assert len({system.url, *system.edges}) == 3
        for url in (system.url, *system.edges):
            assert (await ask("GET", f"{url}/readyz")).status == 200
        # The address that they share goes on, also while nobody starts the other one again.
        os.kill(system.child.identity.pid, signal.SIGSTOP)
        try:
            os.kill(system.part("edge-2").pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                await wait_until_ready(system.url)
        finally:
            os.kill(system.child.identity.pid, signal.SIGCONT)


async def test_a_second_start_finds_everything(home: Path) -> None:
    own = home / "twice"
    async with start_system(home=own) as system:
        conversation = (await lists(system)).content["conversations"][0]["id"]
        body = {"conversation_id": conversation, "user_id": 1, "content": "still there?"}
        sent = await ask("POST", f"{system.url}/chat/messages", token=system.token(1), content=body)
        assert sent.status == 201
        processes = list((running.read_running(own) or pytest.fail("nothing runs")).parts.values())
    assert running.read_running(own) is None
    assert not any(process.alive() for process in processes)

    async with start_system(home=own) as system:
        listed = (await lists(system)).content["conversations"]
    assert [(entry["id"], entry["last_message"]) for entry in listed] == [(conversation, "still there?")]


async def test_ctrl_c_ends_all_in_order_and_cleanly() -> None:
    async with start_system() as system:
        os.kill(system.child.identity.pid, signal.SIGINT)
        assert await system.child.ended() == 0
        logs = {path.stem: path.read_text() for path in (system.home / "logs").glob("*.log")}
        assert "database system is shut down" in logs["postgres"]
        assert "Traceback" not in logs["edge-1"] + logs["worker-1"]
        assert system.output().endswith("chat: stopping\n")


async def test_it_goes_on_and_stops_in_order_when_nobody_reads_what_it_says(home: Path) -> None:
    own, (port,) = home / "unread", free_ports(1)
    read, write = os.pipe()
    reader = await asyncio.create_subprocess_exec("grep", "--max-count=1", "^{", stdin=read, stdout=DEVNULL)
    os.close(read)
    async with begun(own, "--json", "--port", str(port), out=write) as process:
        os.close(write)
        assert await asyncio.wait_for(reader.wait(), 120) == 0
        before = part(own, "edge-1")
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: part(own, "edge-1") != before)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert running.read_last(own) is None
    assert "database system is shut down" in (own / "logs" / "postgres.log").read_text()


async def test_a_terminal_that_is_closed_ends_all_in_order() -> None:
    async with start_system() as system:
        # It comes after the Ctrl-C too, from a terminal that is closed meanwhile.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGHUP):
            os.kill(system.child.identity.pid, number)
        assert await system.child.ended() == 0
        assert "database system is shut down" in (system.home / "logs" / "postgres.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_told_to_stop_while_it_fetches_it_ends_at_once(
    number: signal.Signals, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, (port,) = home / number.name, free_ports(1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    monkeypatch.setenv("M2_REPO", str(own / "m2"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    with socket.socket() as silent:  # it takes connections, and never answers
        silent.bind((LOOPBACK, 0))
        silent.listen()
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{silent.getsockname()[1]}")
        async with begun(own, "--port", str(port)) as process:
            assert process.stdout is not None
            while b"downloading" not in (line := await asyncio.wait_for(process.stdout.readline(), 30)):
                assert line
            process.send_signal(number)
            status, said = await ended(process)
    assert (status, said[-1]) == (1, "chat: broken off")
    assert list((own / "cache").rglob("*.jar")) == []


async def test_with_nohup_it_stays_when_its_terminal_is_closed() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        up._break_off_when_told()
        up._told_to_stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in zip(numbers, before, strict=True):
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler)


async def test_nothing_is_left_when_it_is_killed(home: Path) -> None:
    own = home / "killed"
    async with start_system(home=own) as system:
        processes = list((running.read_running(own) or pytest.fail("nothing runs")).parts.values())
        system.child.kill()
        await until(lambda: not any(process.alive() for process in processes))
    # What it held is free again.
    async with start_system(home=own) as system:
        assert (await lists(system)).status == 200


async def test_a_second_system_in_the_same_home_is_refused(system: System) -> None:
    async with begun(system.home) as process:
        status, said = await ended(process)
    assert (status, len(said)) == (1, 1)
    assert f"`chat up` runs in {system.home} already (process {system.child.identity.pid})" in said[0]


async def test_a_taken_port_is_one_line(home: Path) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        async with begun(home / "taken", "--port", str(port)) as process:
            status, said = await ended(process)
    assert status == 1
    assert said == [f"Error: port {port} of {LOOPBACK} is taken: choose another with --port or CHAT_PORT"]


async def test_given_servers_are_used_and_nothing_else_is_started(system: System, home: Path) -> None:
    given = {"KAFKA_BOOTSTRAP_SERVERS": system.kafka, "DATABASE_URL": system.database_url}
    async with start_system(home=home / "given", **given, CHAT_JWT_SECRET=system.settings.secret()) as other:
        assert set((running.read_running(other.home) or pytest.fail("nothing runs")).parts) == {"worker-1", "edge-1"}
        # The same log and the same tables, by another door.
        assert (await lists(other)).content == (await lists(system)).content


async def test_given_servers_that_are_away_are_named_and_waited_for(home: Path) -> None:
    database_url = "postgresql://chat@127.0.0.1:1/chat"
    async with begun(home / "away", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", DATABASE_URL=database_url) as process:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 30)
        assert said == b"chat: Kafka at 127.0.0.1:1 does not answer; waiting for it\n"
        process.send_signal(signal.SIGINT)
        assert await ended(process) == (0, ["chat: stopping"])


async def test_the_database_asks_for_its_password(system: System) -> None:
    address = system.database_url.rpartition("@")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://chat:wrong@{address}")
