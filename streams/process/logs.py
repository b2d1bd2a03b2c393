"""How a worker logs: text for people, or one JSON object a line for programs; never a secret.

Every logger goes the same way, Faust's and aiokafka's too, and so do Python's warnings and what nobody caught. A
record's partition and offset are fields of their own where the caller gave them: ``log.info(…, extra={"partition":
3, "offset": 17})``.
"""

import json
import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.configuration import Config

FIELDS = ("partition", "offset", "exit_code")
"""What a record may carry beside its message."""
HIDDEN = "**********"
NOISY = ("aiokafka", "faust", "mode")
"""Libraries that tell at level info, or as warnings, what is no news to an operator."""
QUIET = 60.0
"""Seconds in which a client library says a thing once."""
MOST_REMEMBERED = 256

log = logging.getLogger("alphawire")


class TextFormatter(logging.Formatter):
    """One line for people (and the traceback, if there is one), without `secrets`."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        return self._without_secrets(super().format(record))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


class JsonFormatter(TextFormatter):
    """One JSON object: time (ISO 8601, UTC), level, logger, message; partition, offset, exit_code where known; error
    (the traceback) where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._without_secrets(record.getMessage()),
        }
        entry |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            entry["error"] = self._without_secrets(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


class Repetitions(logging.Filter):
    """Lets what the client libraries say again and again pass once in `QUIET` seconds, with the number of times that it
    was left out: aiokafka asks a broker that is away a hundred times a second, and says so each time.

    Numbers make no difference: nodes, ports, times.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in NOISY or record.levelno > logging.ERROR:
            return True
        message = record.getMessage()
        said = record.name, re.sub(r"\d+", "0", message)
        since, left_out = self._seen.get(said, (-QUIET, 0))
        if record.created - since < QUIET:
            self._seen[said] = since, left_out + 1
            return False
        self._seen[said] = record.created, 0
        self._seen.move_to_end(said)
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        if left_out:
            record.msg, record.args = f"{message} (and {left_out} more times before)", ()
        return True


def set_up(config: Config) -> None:
    """Every logger of this process writes to standard error, as `config.worker` says."""
    kafka, settings = config.kafka, config.worker
    secrets = [kafka.password.get_secret_value()] if kafka.password else []
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if settings.log_format == "json" else TextFormatter(secrets))
    if settings.log_level != "debug":
        handler.addFilter(Repetitions())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel("DEBUG" if settings.log_level == "debug" else "ERROR")
    logging.captureWarnings(True)
    if settings.log_format == "json":
        sys.excepthook = _uncaught
        threading.excepthook = lambda thread: _uncaught(thread.exc_type, thread.exc_value, thread.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    log.critical("nobody caught %s", kind.__name__, exc_info=(kind, error or kind(), trace))
