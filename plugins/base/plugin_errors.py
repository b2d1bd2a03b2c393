"""Where a plugin's own code is called: what it raises, in one line that names it."""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from schemas.errors import AlphawireError, PluginError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a write fails with when there is no room, or none that may be used."""


def is_ours(error: BaseException) -> bool:
    """Is this no fault of the plugin that was called, but a command or a task that is to end?

    Any other will do: foreign code may raise what is no `Exception`, as ``sys.exit()`` does.
    """
    return isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError)


@contextlib.contextmanager
def output_to_errors() -> Iterator[TextIO | None]:
    """What is written to standard output meanwhile, by Python, by a C library or by a child, goes to standard error.

    Standard output belongs to the command, which may owe it JSON. The value is the way to it: a text file, or None
    where standard output is closed.
    """
    own = sys.stdout
    with contextlib.ExitStack() as at_end:
        _flush(own)
        try:
            kept = _keep(1)
        except OSError:  # it is closed
            at_end.enter_context(contextlib.redirect_stdout(sys.stderr))
            yield own
            return
        at_end.callback(os.close, kept)
        if _is_descriptor_1(own):
            own = at_end.enter_context(os.fdopen(_keep(kept), "w", encoding=own.encoding, errors=own.errors))
        at_end.callback(os.dup2, kept, 1)
        at_end.callback(_flush, sys.stdout)  # before that
        _lead_to_errors()
        at_end.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield own


def _is_descriptor_1(file: TextIO | None) -> bool:
    """Not so where somebody has put another file in the place of `sys.stdout`, as tests do."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return file is not None and file.fileno() == 1
    return False


def _keep(descriptor: int) -> int:
    """A duplicate that takes the place of no standard stream, as `os.dup` does where one is closed."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def _lead_to_errors() -> None:
    if sys.__stderr__ is not None:
        os.dup2(2, 1)
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _flush(file: TextIO | None) -> None:
    """What Python and C libraries hold back, each in a buffer of its own, goes where it leads now."""
    for each in (file, sys.__stdout__):
        if each is not None:
            with contextlib.suppress(OSError, ValueError):
                each.flush()
    ctypes.CDLL(None).fflush(None)


@dataclass(slots=True)
class plugin_errors:  # noqa: N801 - it is used like a function
    """Whatever a plugin's own code raises becomes a `PluginError` of one line; what it raised is its cause."""

    key: str
    verb: str

    def __enter__(self) -> None:
        """Nothing to prepare: a bar that comes alone pays for it."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, AlphawireError) or is_ours(error):
            return
        if isinstance(error, NotImplementedError):
            raise PluginError(f"{self.key}: does not define {self.verb}, which training and serving need") from error
        if isinstance(error, OSError) and error.errno in FULL:  # the disk's fault, not the plugin's
            return
        text = " ".join(str(error).split())
        raise PluginError(f"{self.key}: {self.verb} failed: {type(error).__name__}: {text}") from error
