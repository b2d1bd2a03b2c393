"""Work in a thread beside the bars: it rests in between, so that on full processors the bars go first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PIECE = 0.001
"""Seconds of processor time between two rests."""


class _Pace:
    def __init__(self, rest: float) -> None:
        self.rest = rest
        self.since = time.thread_time()


_pace: ContextVar[_Pace | None] = ContextVar("pace", default=None)


@contextmanager
def throttled(rest: float) -> Iterator[None]:
    """Inside, in this thread, `yield_if_throttled` rests `rest` times as long as was worked."""
    token = _pace.set(_Pace(rest))
    try:
        yield
    finally:
        _pace.reset(token)


def yield_if_throttled() -> None:
    """For long work, now and then: rests if it shall; else it costs nothing."""
    pace = _pace.get()
    if pace is not None and (worked := time.thread_time() - pace.since) >= PIECE:
        time.sleep(pace.rest * worked)
        pace.since = time.thread_time()
