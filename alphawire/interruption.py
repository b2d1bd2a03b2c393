"""The end of a command that was interrupted, or that a thread would not let end."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Collection
from concurrent.futures import process as process_pools
from concurrent.futures import thread as thread_pools
from typing import NoReturn

GRACE = 1.0
"""Seconds in which a thread may end by itself."""


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


def close_output() -> None:
    """The command has given its answer: what foreign code writes to standard output from here on, as the process ends,
    goes to standard error.
    """
    try:
        sys.stdout.flush()
        os.dup2(2, 1)
    except (OSError, ValueError, AttributeError):  # one of them is closed, or nobody reads it any more
        return
    sys.stdout = sys.stderr


def leave_threads(before: Collection[threading.Thread], code: int) -> None:
    """Ends the process with `code` where threads run on that were not there `before`, and for which Python would wait:
    a plugin's thread that is no daemon. Returns where there are none.
    """
    # those of pools end when Python tells their pools
    known = {*before, *thread_pools._threads_queues, *process_pools._threads_wakeups}
    if (loky := sys.modules.get("joblib.externals.loky.process_executor")) is not None:
        known |= set(loky._threads_wakeups)
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread not in known]
    for thread in left:
        thread.join(GRACE / len(left))
    if running := [thread.name for thread in left if thread.is_alive()]:
        print(
            f"alphawire: {', '.join(running)}: a thread that does not end is left (start threads with daemon=True)",
            file=sys.stderr,
        )
        for tell in reversed(getattr(threading, "_threading_atexits", ())):
            tell()  # pools let go of their processes
        atexit._run_exitfuncs()  # and remove what they have on disk
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
