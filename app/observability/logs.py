"""Log lines: text for people, or JSON for those who search the lines of many processes."""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from app.observability.context import log_fields
from app.settings import LogFormat, Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# They bring handlers of their own, whose lines would not be JSON.
UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")
QUIET = ("httpx", "alembic")  # a line a request, and several a start


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, then what the line is for."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **log_fields(),
        }
        if record.name == "uvicorn.access" and isinstance(record.args, tuple):
            client, method, target, _, status = record.args
            line |= {"client": client, "method": method, "status": status}
            line["path"] = str(target).partition("?")[0]
            line["message"] = f"{method} {line['path']} {status}"  # links carry secrets behind "?"
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging(settings: Settings, level: int = logging.INFO) -> None:
    """Send all lines of this process to standard error, in the format of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        for name in UVICORN:
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
    else:
        handler.setFormatter(logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.critical("the process ends", exc_info=(kind, error, traceback))
