"""``alphawire …`` as real processes that start at once: forked from a server that has imported everything.

Each has its own memory, pid, signals, exit code and output, and can be killed as any; only Python's seconds of
importing are spared, of which the suites would otherwise mostly consist. That the command starts from nothing is shown
by the tests that run it as users do (`test_demo`, `tests.docs`, `test_installed_plugin`).
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.preloaded"])


class Forked:
    """What of `subprocess.Popen` the tests use, for ``alphawire WORDS`` in `folder`. Output goes to the end of `log`,
    what it prints on standard error to that of `errors` where it is given.
    """

    def __init__(
        self,
        *words: str,
        log: Path,
        environment: dict[str, str] | None = None,
        mutation: str = "",
        errors: Path | None = None,
        folder: Path = ROOT,
    ) -> None:
        self._command = ("alphawire", *words)
        given = os.environ | (environment or {})
        files = [str(file.absolute()) for file in (log, errors or log)]
        log.touch()
        self._process = _context.Process(
            target=_become, args=(self._command, files, given, mutation, str(folder)), daemon=True
        )
        self._process.start()
        self.pid: int = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """Exit code, or below 0 the signal that ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def started(*words: str, log: Path, python: str = "") -> "subprocess.Popen[bytes]":
    """The same by an interpreter of its own, as a user starts it; `python` may be that of another environment."""
    with log.open("ab") as output:
        command = [python or sys.executable, "-m", "alphawire", *words]
        return subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, cwd=ROOT)


def _become(
    command: tuple[str, ...], files: list[str], environment: dict[str, str], mutation: str, folder: str
) -> None:
    """The new process: as if it had just been started so."""
    for number, file in enumerate(files, 1):
        output = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(output, number)
        os.close(output)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = list(command)

    from alphawire.cli import main
    from streams.process import failpoints
    from tests.support import preloaded

    failpoints._armed.clear()  # the server may have been started while a test had armed some
    failpoints._armed.update(failpoints.armed(os.environ))
    if mutation:
        from tests.faults.mutations import MUTATIONS

        preloaded.clock_jumps()
        if mutation != "unchanged":
            MUTATIONS[mutation].apply()
    main()
