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
from tempfile import TemporaryDirectory

from tests.support.deadlines import deadline

ROOT = Path(__file__).parents[2]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.preloaded"])


class Forked:
    """What of `subprocess.Popen` the tests use, for ``alphawire WORDS`` in the folder `cwd`; its output goes to the end
    of `log`, what it writes to standard error to that of `errors`, if given.
    """

    def __init__(
        self, *words: str, log: Path, errors: Path | None = None, cwd: Path = ROOT,
        environment: dict[str, str] | None = None, mutation: str = "",
    ) -> None:  # fmt: skip
        self._command = ("alphawire", *words)
        given = os.environ | (environment or {})
        for file in (log, errors or log):
            file.touch()
        outputs = [str(file.absolute()) for file in (log, errors or log)]
        arguments = (self._command, outputs, str(cwd), given, mutation)
        # a daemon may start no process of its own by `multiprocessing`, as joblib's workers are
        self._process = _context.Process(target=_become, args=arguments, daemon=not errors)
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


def run(
    *words: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None, seconds: float = 120.0
) -> "subprocess.CompletedProcess[str]":
    """``alphawire WORDS`` to its end, as `subprocess.run` with its output captured; `seconds` of a quiet machine."""
    command = [str(word) for word in words]
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = Forked(*command, log=output, errors=errors, cwd=cwd, environment=environment)
        try:
            code = process.wait(deadline(seconds))
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())


def started(*words: str, log: Path, python: str = "") -> "subprocess.Popen[bytes]":
    """The same by an interpreter of its own, as a user starts it; `python` may be that of another environment."""
    with log.open("ab") as output:
        command = [python or sys.executable, "-m", "alphawire", *words]
        return subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, cwd=ROOT)


def _become(command: tuple[str, ...], outputs: list[str], cwd: str, environment: dict[str, str], mutation: str) -> None:
    """The new process: as if it had just been started so."""
    for number, file in enumerate(outputs, 1):
        output = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(output, number)
        os.close(output)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
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
