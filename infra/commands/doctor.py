"""`chat doctor`: is everything there that a start needs, and does what runs work? One line for each."""

import os
import shutil
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click

from infra.commands import agreement, reach
from infra.embedded.jars import cache, locked_jars, verified
from infra.embedded.java import find_java
from infra.environment import SettingError
from infra.http_client import ask
from infra.kafka_topics import contradictions, describe_topics
from infra.log_start import log_count
from infra.part import StartError
from infra.running import Running, read_last, read_running
from infra.settings import Settings, load_settings
from infra.system import DISK_BYTES, check_port
from schemas.topics import TOPICS


class Finding(NamedTuple):
    """What was looked at, whether it is well, and what was found."""

    name: str
    well: bool
    found: str


@click.command()
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
def doctor(*, for_programs: bool) -> None:
    """Check settings, disk, ports, leftovers, servers, topics and read tables; status 1 if something is wrong."""
    findings = reach.run(_look())
    if for_programs:
        reach.as_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = click.style("ok   ", fg="green") if finding.well else click.style("WRONG", fg="red", bold=True)
            click.echo(f"{mark}  {finding.name:<9} {finding.found}")
    sys.exit(0 if all(finding.well for finding in findings) else 1)


async def _look() -> list[Finding]:
    try:
        settings = load_settings()
    except SettingError as error:
        return [Finding("settings", well=False, found=str(error))]
    running = read_running(settings.home)
    findings = [
        Finding("settings", well=True, found="every one is known and in its bounds"),
        *_machine(settings, running),
    ]
    if settings.kafka_bootstrap_servers:
        findings.append(await _kafka(settings))
    if settings.database_url:
        findings.append(await _postgres(settings))
    if {finding.name for finding in findings if finding.well} >= {"kafka", "postgres"}:
        findings += await _tables(settings)
    if running:
        findings += [await _edge(url) for url in running.edges]
    return findings


def _machine(settings: Settings, running: Running | None) -> Iterator[Finding]:
    """What a start needs of this machine, and what an earlier one may have left."""
    there = next(path for path in (settings.home, *settings.home.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    yield Finding("disk", free >= DISK_BYTES, f"{free // 2**20} MB left for {settings.home}")
    yield Finding(
        "home",
        os.access(there, os.W_OK),
        f"{settings.home} {'is there' if settings.home.exists() else 'is not made yet'}",
    )
    if running:
        parts = ", ".join(f"{name} ({process.pid})" for name, process in sorted(running.parts.items()))
        alive = all(process.alive() for process in running.parts.values())
        yield Finding("running", alive, f"`chat up` ({running.supervisor.pid}): {parts}")
        return
    last = read_last(settings.home)
    left = [f"{name} ({process.pid})" for name, process in (last.parts if last else {}).items() if process.alive()]
    yield Finding("leftovers", not left, f"of an earlier run: {', '.join(left)}" if left else "none of an earlier run")
    yield _port(settings)
    if not settings.kafka_bootstrap_servers:
        yield _java()
        missing = [jar.file for jar in locked_jars() if not verified(cache() / jar.file, jar)]
        yield Finding(
            "jars", well=True, found=f"{len(missing)} are fetched at the next start" if missing else "all there"
        )


def _port(settings: Settings) -> Finding:
    try:
        check_port(settings)
    except StartError as error:
        return Finding("port", well=False, found=str(error))
    return Finding("port", well=True, found=f"{settings.port} of {settings.host} is free")


def _java() -> Finding:
    try:
        return Finding("java", well=True, found=str(find_java().path))
    except StartError as error:
        return Finding("java", well=False, found=str(error))


async def _kafka(settings: Settings) -> Finding:
    try:
        async with reach.kafka(settings), reach.log_reader(settings) as reader:
            found = await describe_topics(settings)
            log = await log_count(reader, found)
    except StartError as error:
        return Finding("kafka", well=False, found=str(error))
    missing = [f"topic {topic.name} is missing" for topic in TOPICS if topic.name not in found]
    wrong = [
        line
        for t in TOPICS
        if t.name in found
        for line in contradictions(t, found[t.name], t.partitions or log, flush=settings.flush)
    ]
    text = "; ".join(missing + wrong) or f"{len(found)} topics as declared"
    return Finding("kafka", not missing + wrong, f"{settings.kafka_bootstrap_servers}: {text}")


async def _postgres(settings: Settings) -> Finding:
    try:
        async with reach.postgres(settings) as connection:
            version = (await connection.fetchval("SHOW server_version")).split()[0]
    except StartError as error:
        return Finding("postgres", well=False, found=str(error))
    return Finding("postgres", well=True, found=f"PostgreSQL {version} at {settings.database().rpartition('@')[2]}")


async def _tables(settings: Settings) -> list[Finding]:
    try:
        built = await agreement.built(settings)
        wrong = await agreement.disagreements(settings, built)
    except StartError as error:
        return [Finding("tables", well=False, found=str(error))]
    text = "; ".join(wrong) or f"of this log: {', '.join(tables.schema for tables in built) or 'none yet'}"
    return [
        Finding("tables", not wrong, f"{text}; see docs/operating.md" if wrong else text),
        # For a person to judge: the service goes on without what could not be applied.
        *(Finding("live", well=True, found=_counted(tables)) for tables in built if tables.live),
    ]


def _counted(tables: agreement.Tables) -> str:
    counted = f"{tables.schema}: {tables.dead_letters} dead letters, {tables.differences} differences"
    return f"{counted}; see docs/operating.md" if tables.dead_letters or tables.differences else counted


async def _edge(url: str) -> Finding:
    try:
        answer = await ask("GET", f"{url}/readyz")
    except OSError as error:
        return Finding("edge", well=False, found=f"{url} does not answer: {error}")
    return Finding("edge", answer.status == 200, f"{url} {answer.content}")
