"""The end of a command that was interrupted."""

import os
import signal
import sys
from typing import NoReturn


def end_interrupted() -> NoReturn:
    """Ends the process with exit code 130.

    CPython notes a `KeyboardInterrupt` that leaves code executed from a string (in imports: each dataclass), forgets
    that it was caught, and kills the process with SIGINT at its end, which callers see as -2 and not as 130. Executing
    any other code wipes the note.
    """
    exec("")
    sys.exit(130)


def stop_on_sigterm() -> None:
    """SIGTERM ends a service that is still starting with exit code 0, as it does later, when the service itself listens
    for it: nothing has begun that would have to be brought to an end.
    """
    # not by an exception: foreign code that is imported just now could catch it
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
