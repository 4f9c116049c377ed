"""What a process says about itself: lines for people or JSON for programs, on standard error, never with a token.

Tokens are taken out of the finished line, tracebacks and access logs included, so no caller has to think of it.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType

import orjson

# A JWT wherever it stands; what follows `token=`, `bearer.` (the subprotocol) or `Authorization:`, whatever it is; and
# a password in an address.
SECRETS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?P<before>[?&]token=|token%3D|\bbearer[.\s]+"
    r"|\bauthorization['\"]?\s*[:=,]\s*(?:b?['\"])?(?:(?:basic|bearer)\s+)?)[^\s&\"',;)\]]+"
    r"|(?P<user>://[^\s:/@]*:)[^\s/@]+(?=@)",
    re.IGNORECASE,
)
HIDDEN = "[hidden]"


def redact(line: str) -> str:
    """Return the line with every token and password hidden."""
    return SECRETS.sub(lambda found: f"{found['before'] or found['user'] or ''}{HIDDEN}", line)


class ConsoleFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO gateway.app: …`, and the traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - theirs
        return _time(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS).decode()


FORMATTERS = {"console": ConsoleFormatter, "json": JsonFormatter}


def configure_logs(log_format: str, level: int = logging.INFO) -> None:
    """Send every logger's lines to standard error, uncaught exceptions too.

    Call it once at a process's start, and give uvicorn `log_config=None`, Faust `logging_config` likewise, so that
    they add no handlers of their own.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[log_format]())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # aiokafka tells each change of an assignment, and each reconnection twice.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("chat").critical("uncaught", exc_info=(kind, error, traceback))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
