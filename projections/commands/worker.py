"""`chat worker`: a projection worker in this process.

Ends with status 0 when it is told to stop, and with 1 and one line when it may not, or cannot, go on.
"""

import asyncio
import logging
import signal

import click

from infra.environment import SettingError
from infra.logs import configure_logs
from infra.settings import Settings, load_settings
from projections.commands import process
from projections.database import Away
from projections.refusal import GaveUp, Refusal
from projections.worker import work

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--instance", metavar="NAME", help="A name that stays (CHAT_NAME): restarted, it has its partitions back."
)
def worker(instance: str | None) -> None:
    """Feed the read tables from the log, until told to stop."""
    settings = load_settings()
    configure_logs(settings.log_format)
    process.prepare()
    try:
        process.run(_until_told(settings, instance or settings.name))
    except (Refusal, GaveUp, Away) as end:
        raise click.ClickException(f"the worker ends: {end}") from end
    except SettingError:
        raise
    except Exception as error:
        log.critical("the worker failed", exc_info=error)
        raise click.ClickException(f"the worker failed: {error!r}") from error


async def _until_told(settings: Settings, instance: str | None) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await work(settings, instance, stop)
