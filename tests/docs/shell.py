"""Runs the command lines of a page as a reader would: one after another in one folder, some beside the others."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.deadlines import deadline
from tests.support.forked import Forked

UNTIL_STOPPED = ("broker", "worker", "scorer", "bars", "gateway")
"""Commands that run until they are stopped: beside all that follows on the page, up to the next heading."""


@dataclass
class Shell:
    """A folder with an environment. `said` has, for each command, what it printed."""

    folder: Path
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    beside: list[tuple[str, Forked]] = field(default_factory=list)

    def run(self, line: str) -> str:
        """The command's standard output; it ends with 0, or this fails with what it printed.

        Lines as a page has them: ``VARIABLE=value alphawire …``, ``alphawire … > FILE``, ``python …``.
        """
        command, _, file = line.partition(" > ")
        words = shlex.split(command)
        given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        program, *rest = words[len(given) :]
        environment = self.environment | given
        if program == "alphawire" and rest[0] in UNTIL_STOPPED:
            self.beside.append((line, self._fork(rest, environment, f"beside-{len(self.beside)}")))
            return ""
        code, output, errors = self._finish(program, rest, environment)
        assert code == 0, f"{line}\nexit code {code}\n{output}\n{errors}"
        if file:
            (self.folder / file.strip()).write_text(output)
        self.said[line] = output
        return output

    def log(self, number: int = -1) -> str:
        """What a command that runs beside has printed."""
        return (self.folder / f"beside-{number if number >= 0 else len(self.beside) + number}.log").read_text()

    def stop(self) -> None:
        """Ends what runs beside, as ctrl-C or a supervisor would."""
        for line, process in self.beside:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                code = process.wait(deadline(60))
                assert code in (0, -signal.SIGTERM), f"{line}: exit code {code}"

    def kill(self) -> None:
        """Whatever is left, at a test's end."""
        for _, process in self.beside:
            process.kill()

    def _fork(self, words: list[str], environment: dict[str, str], name: str) -> Forked:
        return Forked(*words, log=self.folder / f"{name}.log", environment=environment, cwd=self.folder)

    def _finish(self, program: str, words: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        if program == "python" or words[0] == "sweep" or "--cv" in words:
            # joblib's processes outlive a forked command, whose end waits for them
            start = [sys.executable, *(["-P", "-m", "alphawire"] if program == "alphawire" else [])]
            done = subprocess.run(
                [*start, *words], cwd=self.folder, env=os.environ | environment, capture_output=True, text=True
            )
            return done.returncode, done.stdout, done.stderr
        output, errors = self.folder / "stdout.log", self.folder / "stderr.log"
        output.write_text(""), errors.write_text("")
        process = Forked(*words, log=output, errors=errors, environment=environment, cwd=self.folder)
        return process.wait(deadline(600)), output.read_text(), errors.read_text()
