"""A child process that never outlives its parent."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from schemas.errors import BrokerError

GUARD = Path(__file__).with_name("guard.py")


class GuardedProcess:
    """`command` in a session of its own, ended with this process, even when this one is killed.

    A terminal's ctrl-C does not reach it, so whoever started it ends it in the right order.

    Parameters
    ----------
    command
        Program and arguments.
    log
        File that gets its output.
    scratch
        Folder to remove when this process dies without ending the command.
    """

    def __init__(self, command: list[str], log: Path, scratch: Path | None = None) -> None:
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(scratch or ""), *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, start_new_session=True,
            )  # fmt: skip
        assert self._guard.stdout is not None
        try:
            line = self._guard.stdout.readline()
            self._guard.stdout.close()
        except BaseException:
            self._close()
            raise
        if not line:
            self._close()
            raise BrokerError(f"cannot run {command[0]}: {tail(log)}")
        self.pid = int(line)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The command's, once it has ended by itself or by SIGTERM; None while it runs."""
        return self._guard.poll()

    def wait(self) -> None:
        self._guard.wait()

    def signal(self, number: int) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL when that takes longer than `timeout` seconds; returns when it has ended."""
        self.signal(signal.SIGTERM)
        try:
            self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        finally:
            self._close()

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        self.signal(signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        """Let go of the guard, which then ends the command if that still runs."""
        assert self._guard.stdin is not None
        if self._guard.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(2)
        self._guard.stdin.close()
        self._guard.wait()


def tail(log: Path, start: int = 0) -> str:
    """The last line of a log from byte `start` on; of the lines that tell an error, if there are any."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "Error" in line]
    return (errors or lines or [""])[-1][:500]
