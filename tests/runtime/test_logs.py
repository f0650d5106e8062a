from __future__ import annotations

import json
import logging
import sys

from fedsnap.runtime.logs import JsonFormatter


def _line(record: logging.LogRecord) -> str:
    return JsonFormatter().format(record)


def _record(**fields) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "fedsnap.test", "levelname": "INFO", "msg": "said\n%s", **fields})


def test_a_record_is_one_line_of_json_with_its_extra_fields():
    line = _line(_record(args=("something",), key="FederatedRound/hub/a", retry_s=1.5))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["message"], read["key"], read["retry_s"], read["level"]) == (
        "said\nsomething",
        "FederatedRound/hub/a",
        1.5,
        "info",
    )


def test_an_exception_stays_on_the_line():
    try:
        int("broken")
    except ValueError:
        line = _line(_record(args=("x",), exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
