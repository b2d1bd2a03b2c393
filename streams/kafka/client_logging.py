"""aiokafka's own log, out of the way of our one clear line."""

import contextlib
import logging
from collections.abc import Iterator


class _Listen(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


class _Redact(logging.Filter):
    """aiokafka logs each request at DEBUG, and that of SASL PLAIN is the password."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_redacted, record.args))
        return True


def _redacted(value: object) -> object:
    name = type(value).__name__
    return f"{name}(not shown)" if name.startswith("SaslAuthenticate") else value


_redact = _Redact()


def keep_secrets() -> None:
    """No credentials in aiokafka's log, whatever its level; no harm when it is so already."""
    logging.getLogger("aiokafka.conn").addFilter(_redact)


_hushed = 0


@contextlib.contextmanager
def quiet_aiokafka() -> Iterator[list[str]]:
    """Keep what aiokafka logs from the terminal; the value is the list of its warnings and errors so far."""
    global _hushed
    logger = logging.getLogger("aiokafka")
    listener = _Listen()
    logger.addHandler(listener)
    _hushed, logger.propagate = _hushed + 1, False
    try:
        yield listener.heard
    finally:
        _hushed -= 1
        logger.propagate = _hushed == 0
        logger.removeHandler(listener)
