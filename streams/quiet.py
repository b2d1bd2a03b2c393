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
