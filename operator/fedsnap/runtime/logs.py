"""Logs: JSON, one line each, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

# What every LogRecord has; everything else in it was given by `extra`.
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
MAX_TEXT = 4096


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", …extra}`; an exception becomes `exception`, still on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_TEXT],
        }
        line |= {name: _shown(value) for name, value in record.__dict__.items() if name not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-4 * MAX_TEXT :]
        return json.dumps(line, ensure_ascii=False)


def _shown(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_TEXT]


def configure(level: str) -> None:
    """Send all logs to standard error; libraries are heard from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("fedsnap").setLevel(level.upper())
    # It warns at each start that it leaves signals to us, which is what we want.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
