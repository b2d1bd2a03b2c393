"""Ctrl-C and SIGTERM, heard for certain."""

import os
import signal
import sys
from typing import Any


class Interrupt:
    """From its creation on, SIGINT and SIGTERM raise `KeyboardInterrupt`, or cancel what asyncio runs.

    Python drops an exception that is raised while an object is finalised (seen: in the end of an event loop, twice in
    thirty tries), and the demo would go on. So the signal is noted in a second way, by the C handler, in a pipe, and
    `check` raises what was lost.
    """

    def __init__(self) -> None:
        self._heard, noted = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(noted, False)
        signal.set_wakeup_fd(noted)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would be without it
        signal.signal(signal.SIGTERM, _as_sigint)
        sys.unraisablehook = _unless_interrupt

    def check(self) -> None:
        """`KeyboardInterrupt` when a signal has come."""
        try:
            os.read(self._heard, 1)
        except BlockingIOError:
            return
        raise KeyboardInterrupt


def _as_sigint(_number: int, _frame: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def _unless_interrupt(lost: "sys.UnraisableHookArgs") -> None:
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
