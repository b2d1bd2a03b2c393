"""``python -m tests.faults.mutant NAME worker …``: alphawire with one mistake of `tests.faults.mutations` put back.

``unchanged`` is no mistake. SIGUSR2 makes the wall clock jump, as a wrong time server would: by three days forward,
four back, and home again. The product has neither: this launcher patches it from outside.
"""

import itertools
import signal
import sys
import time

DAY = 86_400.0
JUMPS = (3 * DAY, -DAY, 0.0)


def jumping_clock() -> None:
    """Patches `time.time` before anything else takes a reference to it."""
    real, offsets, offset = time.time, itertools.cycle(JUMPS), 0.0

    def jump(_number: int, _frame: object) -> None:
        nonlocal offset
        offset = next(offsets)

    time.time = lambda: real() + offset
    signal.signal(signal.SIGUSR2, jump)


def main() -> None:
    jumping_clock()
    name, *sys.argv[1:] = sys.argv[1:]
    from alphawire.cli import main as alphawire

    if name != "unchanged":
        from tests.faults.mutations import MUTATIONS

        MUTATIONS[name].apply()
    alphawire()


if __name__ == "__main__":
    main()
