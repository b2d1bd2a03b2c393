"""Runs mutants in forks of one process that has collected the tests, each against the tests that run its function."""

import os
import pickle
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant
from tests.mutation.swapping import Functions, forget_all, functions_that_differ, importing, without_stored_code
from tests.mutation.targets import COMPILED, ROOT
from tests.mutation.tracing import Trace, Tracer

PROCESSOR_SECONDS = 120
"""More than all tests of a mutant take; a mutant that loops for ever ends by it, however busy the machine is."""
SECONDS = 600
"""The same for one that waits for ever."""
SURVIVED, KILLED = 0, 1
OPTIONS = (
    "-x", "-o", "addopts=--doctest-modules --strict-markers", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-p", "no:terminal", "--assert=plain",
)  # fmt: skip
"""What a failed assertion held is not looked at: showing it takes longer than most tests."""
settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate), database=None, derandomize=True)


class Fate(StrEnum):
    KILLED = "killed"
    TIMEOUT = "killed by time"
    SURVIVED = "survived"


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    fate: Fate
    tests: int


class Runner:
    """A pytest plugin in whose hands the collected tests are; `each` is called with every result."""

    def __init__(self, mutants: list[Mutant], each: Callable[[Result], None]) -> None:
        self._mutants, self._each = mutants, each
        self._running: dict[int, tuple[Mutant, int, float]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own loop: tests run in forks only."""
        trace = self._traced(session)
        if trace.failed:
            raise pytest.UsageError(f"without a mutant, these fail: {trace.failed[:5]}")
        print(f"{len(trace.seconds)} tests, {sum(trace.seconds.values()):.0f} s of processor time without a mutant")
        functions = Functions({str(mutant.module) for mutant in self._mutants})
        items = {item.nodeid: item for item in session.items}

        def swapped(mutant: Mutant, codes: dict[str, CodeType], tests: list[str]) -> int:
            functions.swap(mutant, codes)
            return _outcome(session, [items[test] for test in tests])

        _check(self._mutants[0].module, trace, swapped)
        for mutant in self._mutants:
            file, codes = str(mutant.module), functions_that_differ(mutant)
            if codes is None or not functions.holds(file, codes):
                tests = trace.of_all(file)
                self._start(mutant, len(tests), partial(_imported, mutant, tests))
            else:
                tests = trace.of(file, codes)
                self._start(mutant, len(tests), partial(swapped, mutant, codes, tests))
        while self._running:
            self._reap()
        return True

    def _traced(self, session: pytest.Session) -> Trace:
        tracer = Tracer({str(mutant.module) for mutant in self._mutants})
        with tempfile.NamedTemporaryFile() as file:

            def run() -> int:
                session.config.pluginmanager.register(tracer)
                _outcome(session, session.items)
                Path(file.name).write_bytes(pickle.dumps(tracer.trace))
                return 0

            os.waitpid(_forked(run, limited=False), 0)
            trace: Trace = pickle.loads(Path(file.name).read_bytes())
        return trace

    def _start(self, mutant: Mutant, tests: int, run: Callable[[], int]) -> None:
        while len(self._running) >= (os.cpu_count() or 1):
            self._reap()
        self._running[_forked(run)] = mutant, tests, time.monotonic()

    def _reap(self) -> None:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            for child, (_, _, began) in self._running.items():
                if time.monotonic() - began > SECONDS:
                    os.killpg(child, signal.SIGKILL)
            time.sleep(0.01)
            return
        mutant, tests, _ = self._running.pop(pid)
        _end_group(pid)
        fates = {SURVIVED: Fate.SURVIVED, KILLED: Fate.KILLED}
        self._each(Result(mutant, fates.get(os.waitstatus_to_exitcode(status), Fate.TIMEOUT), tests))


def _check(module: Path, trace: Trace, swapped: Callable[[Mutant, dict[str, CodeType], list[str]], int]) -> None:
    """A mutant that changes nothing survives, either way: what else ends a fork must not count as killed."""
    unchanged, file = Mutant(module, "", 0, "", "", module.read_text()), str(module)
    for run in (partial(swapped, unchanged, {}, trace.of(file, ())), partial(_imported, unchanged, trace.of_all(file))):
        _, status = os.waitpid(_forked(run), 0)
        if os.waitstatus_to_exitcode(status) != SURVIVED:
            raise pytest.UsageError(f"a mutant that is no other does not survive: {run}")


def _imported(mutant: Mutant, tests: list[str]) -> int:
    """What a module says outside its functions counts when it is imported: by a process that has forgotten our modules,
    and keeps those of the libraries.
    """
    forget_all(ROOT)
    importing(mutant.module, mutant.source)
    if str(mutant.module.relative_to(ROOT)) in COMPILED:
        without_stored_code()
    return SURVIVED if pytest.main([*OPTIONS, *tests]) == pytest.ExitCode.OK else KILLED


def _outcome(session: pytest.Session, items: Iterable[pytest.Item]) -> int:
    """Runs the items in order until one fails."""
    from _pytest.main import pytest_runtestloop

    session.items = list(items)
    session.testsfailed = 0
    try:
        pytest_runtestloop(session)
    except (pytest.Session.Failed, pytest.Session.Interrupted):
        return KILLED
    return KILLED if session.testsfailed else SURVIVED


def _forked(run: Callable[[], int], limited: bool = True) -> int:
    """A child with a process group of its own, silent, that ends with what `run` returns."""
    pid = os.fork()
    if pid:
        return pid
    code = KILLED
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if limited:
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
        code = run()
    except BaseException:  # whatever a mutant does ends here
        code = KILLED
    finally:
        os._exit(code)


def _end_group(pid: int) -> None:
    """Ends what the child has started and left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run(mutants: list[Mutant], tests: tuple[str, ...], brokers: bool, each: Callable[[Result], None]) -> None:
    """Runs the mutants against the tests of these files and folders, with `brokers` also against those that start one.

    Raises
    ------
    RuntimeError
        The tests fail without a mutant, or cannot be collected.
    """
    marks = "not slow and not nightly" + ("" if brokers else " and not broker")
    settings.load_profile("mutation")
    words = [*OPTIONS, "-m", marks, *tests]
    code = pytest.main(words, plugins=[Runner(mutants, each)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ends with {code}")
