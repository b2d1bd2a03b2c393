"""What a worker's log says, in a process of its own as it takes over every logger there is."""

import json
import subprocess
import sys
from typing import Any

import pytest

SECRET = "hunter2 & co"
PROGRAM = f"""
import logging, sys, threading, warnings
from schemas.configuration import Config
from streams.process.logs import set_up

set_up(Config(kafka={{"password": {SECRET!r}}}, worker={{"log_format": sys.argv[1], "log_level": "info"}}))
logging.getLogger("alphawire.worker").info("fed %d", 3, extra={{"partition": 3, "offset": 17}})
logging.getLogger("alphawire.worker").debug("too fine")
logging.getLogger("faust.app").error("of Faust\\nin two lines")
logging.getLogger("aiokafka.conn").error("sent {SECRET}")
logging.getLogger("aiokafka.conn").warning("no news")
warnings.warn("old")
try:
    raise ValueError("wrong {SECRET}")
except ValueError:
    logging.getLogger("alphawire").exception("failed")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("at the end")
"""


def said(log_format: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, log_format], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    return [json.loads(line) for line in said("json").splitlines()]


def test_every_logger_and_what_nobody_caught_are_lines_of_json(entries: list[dict[str, Any]]) -> None:
    assert [(entry["level"], entry["logger"]) for entry in entries] == [
        ("info", "alphawire.worker"),
        ("error", "faust.app"),
        ("error", "aiokafka.conn"),
        ("warning", "py.warnings"),
        ("error", "alphawire"),
        ("critical", "alphawire"),
        ("critical", "alphawire"),
    ]
    assert all(entry["time"].endswith("+00:00") for entry in entries)


def test_fields_and_messages(entries: list[dict[str, Any]]) -> None:
    fed, faust, *_, division, end = entries
    assert (fed["message"], fed["partition"], fed["offset"]) == ("fed 3", 3, 17)
    assert faust["message"] == "of Faust\nin two lines"
    assert "partition" not in faust
    assert "ZeroDivisionError" in division["error"]
    assert end["error"].splitlines()[-1] == "RuntimeError: at the end"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_secret_is_never_told(log_format: str) -> None:
    text = said(log_format)
    assert SECRET not in text
    assert "sent **********" in text
    assert "ValueError: wrong **********" in text
