"""`chat tail`: the log as it is written, readably."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from infra.commands import reach
from infra.kafka_topics import describe_topics, partitions
from infra.settings import Settings, load_settings
from schemas.envelope import header
from schemas.topics import PRESENCE, TOPICS

Show = Callable[[Any], str]
SHOWN = tuple(topic.name for topic in TOPICS if topic.name != PRESENCE)


@click.command()
@click.argument("topic", required=False, type=click.Choice([topic.name for topic in TOPICS]))
@click.option("--last", type=click.IntRange(0), default=10, show_default=True, help="Records of each partition first.")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on with new ones, until Ctrl-C.")
@click.option("--json", "for_programs", is_flag=True, help="One JSON object a line, with the headers.")
def tail(topic: str | None, last: int, *, follow: bool, for_programs: bool) -> None:
    """Print the records of a topic, or of all but presence, and follow them."""
    settings = load_settings()
    show = _as_json if for_programs else _as_text
    with contextlib.suppress(KeyboardInterrupt):
        reach.run(_tail(settings, (topic,) if topic else SHOWN, last, follow=follow, show=show))


async def _tail(settings: Settings, topics: tuple[str, ...], last: int, *, follow: bool, show: Show) -> None:
    async with reach.log_reader(settings) as reader:
        async with reach.kafka(settings):
            found = await describe_topics(settings)
            wanted = partitions({name: found[name] for name in topics if name in found})
            begins, ends = await reader.begins(wanted), await reader.ends(wanted)
        reader.read_from({partition: max(begins[partition], ends[partition] - last) for partition in wanted})
        waiting = {partition for partition in wanted if last and ends[partition] > begins[partition]}
        while follow or waiting:
            batches = await reader.records(wait=0.5, most=500)
            for record in sorted((r for records in batches.values() for r in records), key=lambda r: r.timestamp):
                click.echo(show(record))
            waiting -= {p for p, records in batches.items() if records and records[-1].offset + 1 >= ends[p]}


def _as_text(record: Any) -> str:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")[11:23]
    kind = header(record.headers, "ce_type") or "?"
    key = "" if record.key is None else f" {_text(record.key)}"
    value = "erased" if record.value is None else _text(record.value)
    return f"{at} {record.topic}[{record.partition}]@{record.offset}{key} {click.style(kind, bold=True)} {value}"


def _as_json(record: Any) -> str:
    return json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": _text(record.key),
            "headers": {name: _text(value) for name, value in record.headers},
            "value": _value(record.value),
        }
    )


def _value(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return _text(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
