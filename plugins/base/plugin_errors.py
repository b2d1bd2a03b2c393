"""Where a plugin's own code is called: what it raises, in one line that names it."""

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from schemas.errors import AlphawireError, PluginError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What a write fails with when there is no room, or none that may be used."""


def is_ours(error: BaseException) -> bool:
    """Is this no fault of the plugin that was called, but a command or a task that is to end?

    Any other will do: foreign code may raise what is no `Exception`, as ``sys.exit()`` does.
    """
    return isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError)


@contextlib.contextmanager
def output_to_errors() -> Iterator[None]:
    """What is written to standard output meanwhile, by Python, by a C library or by a child, goes to standard error:
    standard output belongs to the command, which may owe it JSON.
    """
    with contextlib.redirect_stdout(sys.stderr):
        try:
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()
            kept = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # one of them is closed
            yield
            return
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@contextlib.contextmanager
def plugin_errors(key: str, verb: str) -> Iterator[None]:
    """Whatever a plugin's own code raises becomes a `PluginError` of one line; what it raised is its cause."""
    try:
        yield
    except AlphawireError:
        raise
    except NotImplementedError as error:
        raise PluginError(f"{key}: does not define {verb}, which training and serving need") from error
    except BaseException as error:
        if is_ours(error) or (isinstance(error, OSError) and error.errno in FULL):  # the disk's fault, not the plugin's
            raise
        text = " ".join(str(error).split())
        raise PluginError(f"{key}: {verb} failed: {type(error).__name__}: {text}") from error
