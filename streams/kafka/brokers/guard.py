"""Run a command, and end it when the process that asked for it is gone, however it went: ``guard.py SCRATCH COMMAND…``.

Started by `streams.kafka.brokers.process` as a script of its own, so it imports the standard library alone. Standard
input is a pipe whose other end only the parent holds: the system closes it even when the parent is killed. That
works in any thread and on any Unix, which the kernel's parent-death signal does not. Standard output gets the
command's process id, standard error its output.
"""

import os
import select
import shutil
import signal
import subprocess
import sys


def main() -> int:
    scratch, *command = sys.argv[1:]
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, stderr=2)
    print(child.pid, flush=True)
    while (code := child.poll()) is None:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 64)
        elif not os.read(0, 1):
            child.kill()
            child.wait()
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
            return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
