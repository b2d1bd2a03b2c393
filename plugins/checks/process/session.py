"""Checks plugins in processes of their own, with a deadline for each check."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType, TracebackType
from typing import IO, Any, Self

from plugins.checks.catalogue import CATALOGUE, Check
from plugins.checks.findings.finding import ONE_KIND, Finding, Report
from plugins.checks.process.target import Target
from schemas.errors import PluginError

DEADLINE = 90.0
"""Seconds for one check: a bound for one that hangs, several times what the slowest takes on a slow machine."""
START = 120.0
"""Seconds for a process to start and to import a plugin."""
HANGS = 2
"""Checks of a plugin that may hang before the rest are left out."""
SEEDS = ("1", "2")
DISABLE, BLAS = "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE"
"""Environment variables of NumPy, and of the OpenBLAS that comes with it."""
OLD = "Nehalem"
"""For OpenBLAS, a processor without wide instructions."""


class Gone(Exception):
    """The process ended or hung; the text is how."""


class Process:
    """A child that checks plugins, started when it is first asked, and again after it was killed."""

    def __init__(self, hash_seed: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self._environment = {**environment, "PYTHONHASHSEED": hash_seed}
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._ready = False
        self._errors: IO[bytes] | None = None
        self.target: Target | None = None

    def ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer; `Gone` when none comes within `seconds`, and the process is killed."""
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise Gone(f"no end within {seconds:g} s") from None
        except BrokenPipeError:
            line = None
        if line is None:
            code = process.wait()
            self.close()
            raise Gone(f"the process ended: {'signal' if code < 0 else 'exit code'} {abs(code)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def open(self, target: Target) -> dict[str, Any]:
        answer = self.ask(
            {"do": "open", "target": target.as_dict(), "path": [os.path.abspath(p) for p in sys.path]}, START
        )
        self.target = target
        return answer

    def close(self) -> None:
        """Ends the process, hung or not."""
        process, self._process, self.target = self._process, None, None
        if process is not None:
            process.kill()
            process.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def start(self, wait: bool = True) -> None:
        """Starts the process unless it runs, and waits until it has imported what it needs."""
        if self._process is None:
            path = os.pathsep.join(os.path.abspath(place) for place in sys.path)
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 closed in `stop`
            self._process = subprocess.Popen(
                # -P: a package `plugins` in the working directory must not take the place of ours
                [sys.executable, "-P", "-m", "plugins.checks.process.child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
                env=os.environ | self._environment | {"PYTHONPATH": path},
            )  # fmt: skip
            self._answers, self._ready = queue.Queue(), False
            threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()
        if wait and not self._ready:
            self._await_start()

    def _await_start(self) -> None:
        try:
            self._ready = self._answers.get(timeout=START) is not None
            fault = "" if self._ready else f"ended at its start: {self._last_error()}"
        except queue.Empty:
            fault = f"has not started within {START:g} s; is the machine overloaded?"
        if fault:
            self.close()
            raise PluginError(f"the process in which plugins are checked {fault}")

    def _last_error(self) -> str:
        """The last line that the process wrote to standard error before it ended."""
        assert self._process is not None
        assert self._errors is not None
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")


def _read(process: "subprocess.Popen[str]", answers: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put(None)


class Session:
    """Two processes with different hash seeds that check one plugin after the other.

    >>> with Session() as session:
    ...     report = session.check(target_of("technical.rsi"))  # doctest: +SKIP
    """

    def __init__(self, deadline: float = DEADLINE) -> None:
        self.deadline = deadline
        self._main, self._twin = (Process(seed) for seed in SEEDS)
        self._plain = Process(SEEDS[0], other) if (other := plain_processor()) else None

    def check(self, target: Target, progress: Callable[[Finding], None] = lambda finding: None) -> Report:
        """All findings on a plugin; `progress` gets each."""
        for wait in (False, True):  # both at once
            self._main.start(wait)
            self._twin.start(wait)
        begin = time.monotonic()
        report = Report(target.key, target.category, interval=target.interval)
        hangs = 0
        for check in CATALOGUE[target.category]:
            finding, hung = self._finding(target, check, report, hangs)
            hangs += hung
            report.findings.append(finding)
            progress(finding)
        report.seconds = time.monotonic() - begin
        return report

    def _finding(self, target: Target, check: Check, report: Report, hangs: int) -> tuple[Finding, int]:
        """The finding of one check, and 1 if it hung."""
        missing = [f.check for f in report.findings if f.check in check.needs and f.status != "passed"]
        if hangs >= HANGS or missing:
            why = f"{', '.join(missing)} must pass first" if missing else f"it hung {hangs} times before"
            return Finding(check.name, "not applicable", check.did, why), 0
        try:
            answer = self._answer(self._main, target, check)
            if check.twin and answer["status"] == "passed":
                answer = _compared(answer, self._answer(self._twin, target, check))
            if check.kinds and answer["status"] == "passed" and self._plain is not None:
                answer = _on_processors(answer, self._answer(self._plain, target, check, answer["frames"]))
        except Gone as gone:
            mend = "find what never ends, or ends the process, on the bars of this check"
            return Finding(check.name, "failed", check.did, str(gone), mend), 1
        return Finding(check.name, answer["status"], check.did, answer["saw"], answer["mend"]), 0

    def _answer(self, process: Process, target: Target, check: Check, frames: int = 0) -> dict[str, Any]:
        if process.target != target:
            opened = process.open(target)
            if opened["status"] != "passed":
                return opened
        return process.ask({"do": "check", "check": check.name, "frames": frames}, self.deadline)

    def close(self) -> None:
        self._main.close()
        self._twin.close()
        if self._plain is not None:
            self._plain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def processor_features() -> list[str]:
    """What NumPy uses of this processor beyond what it needs; with `DISABLE` it does without."""
    core: Any = import_module("numpy._core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]


def plain_processor() -> dict[str, str]:
    """The environment of a process that does as on a processor without wide instructions; empty where this is one."""
    names = processor_features()
    return {DISABLE: " ".join(names), BLAS: OLD} if names else {}


def _on_processors(answer: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """`plain`: of the process with `plain_processor`."""
    if answer == plain:
        return answer | {"saw": f"{answer['saw']}; equal without what NumPy uses of this processor, too"}
    features = " ".join(processor_features())
    return answer | {
        "saw": f"{answer['saw']}; {ONE_KIND}: without {features}, which NumPy or its BLAS use, other bits come out"
        f" ({plain['saw']}); train, replay and run it on one kind, or compute in a fold"
    }


def _compared(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    if one == other:
        return one
    return {
        "status": "failed",
        "saw": f"in a process with another hash seed it gave something else: {one['saw']}, then {other['saw']}",
        "mend": "do not depend on the order of a set, on hash(), on id() or on anything of the process",
    }
