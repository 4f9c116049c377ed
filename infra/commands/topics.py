"""`chat topics`: what is declared, what is there, and where the two differ."""

import sys
from typing import Any

import click

from infra.commands import reach
from infra.kafka_topics import Found, contradictions, describe_topics, partitions
from infra.log_start import log_count
from infra.settings import Settings, load_settings
from schemas.topics import TOPICS, Topic

COLUMNS = ("topic", "partitions", "replicas", "records", "kept")
KEPT = {"-1": "for ever", "600000": "10 minutes"}


@click.command()
@click.option("--json", "for_programs", is_flag=True, help="As JSON.")
def topics(*, for_programs: bool) -> None:
    """List the topics with their records; status 1 if one is missing or not as declared."""
    listed = reach.run(_list(load_settings()))
    if for_programs:
        reach.as_json(listed)
    else:
        reach.table(COLUMNS, ([topic[column] for column in COLUMNS] for topic in listed))
    wrong = [line for topic in listed for line in topic["wrong"]]
    for line in wrong:
        click.echo(line, err=True)
    sys.exit(1 if wrong else 0)


async def _list(settings: Settings) -> list[dict[str, Any]]:
    async with reach.kafka(settings), reach.log_reader(settings) as reader:
        found = await describe_topics(settings)
        begins, ends = await reader.begins(partitions(found)), await reader.ends(partitions(found))
        log = await log_count(reader, found)
    # Gaps of compaction are counted too.
    records = {name: sum(ends[p] - begins[p] for p in ends if p.topic == name) for name in found}
    listed = [_entry(topic, found.get(topic.name), records.get(topic.name, 0)) for topic in TOPICS]
    for topic, entry in zip(TOPICS, listed, strict=True):
        if (there := found.get(topic.name)) is not None:
            entry["wrong"] = contradictions(topic, there, topic.partitions or log, flush=settings.flush)
    return listed


def _entry(topic: Topic, there: Found | None, records: int) -> dict[str, Any]:
    retention = topic.kept.get("retention.ms", "")
    kept = "compacted" if topic.compacted else KEPT.get(retention, f"{retention} ms")
    entry: dict[str, Any] = {"topic": topic.name, "kept": kept, "records": records}
    if there is None:
        return entry | {"partitions": 0, "replicas": 0, "wrong": [f"topic {topic.name} is missing"]}
    return entry | {"partitions": there.partitions, "replicas": there.replicas, "wrong": []}
