"""Keeps aiokafka's log from the terminal, where an error is one clear line, and passwords out of that log."""

import contextlib
import logging
from collections.abc import Iterator


class _Listen(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


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
    """No credentials in aiokafka's log, whatever its level. Idempotent."""
    logging.getLogger("aiokafka.conn").addFilter(_redact)


_hushed = 0


@contextlib.contextmanager
def quiet_aiokafka() -> Iterator[list[str]]:
    """Keeps what aiokafka logs from the terminal; yields the list of its warnings and errors so far."""
    global _hushed
    logger = logging.getLogger("aiokafka")
    listener = _Listen()
    logger.addHandler(listener)
    _hushed, logger.propagate = _hushed + 1, False
    try:
        yield listener.messages
    finally:
        _hushed -= 1
        logger.propagate = _hushed == 0
        logger.removeHandler(listener)
