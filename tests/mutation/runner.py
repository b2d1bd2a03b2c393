"""Runs mutants in forks of one process that has collected the tests, each against the tests that run its function."""

import mmap
import os
import pickle
import resource
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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

PROCESSOR_SECONDS, WHEN_COMPILED = 40, 120
"""Several times what all tests of a mutant take: a mutant that loops for ever ends by it, on a busy machine, too."""
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


class Killer:
    """A pytest plugin of a fork: by it, the process that forked learns which test failed."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 4096)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._shared[:] = report.nodeid.encode()[:4096].ljust(4096, b"\0")

    @property
    def test(self) -> str:
        """Empty where none failed."""
        return self._shared[:].rstrip(b"\0").decode(errors="replace")


@dataclass
class Fork:
    """A mutant in its process; `functions` are those that differ."""

    mutant: Mutant
    tests: int
    functions: tuple[str, ...]
    killer: Killer = field(default_factory=Killer)
    began: float = field(default_factory=time.monotonic)


class Runner:
    """A pytest plugin in whose hands the collected tests are; `each` is called with every result."""

    def __init__(self, mutants: list[Mutant], each: Callable[[Result], None]) -> None:
        self._mutants, self._each = mutants, each
        self._running: dict[int, Fork] = {}
        self._kills: dict[tuple[str, tuple[str, ...]], Counter[str]] = defaultdict(Counter)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own loop: tests run in forks only."""
        trace = self._traced(session)
        if trace.failed:
            raise pytest.UsageError(f"without a mutant, these fail: {trace.failed[:5]}")
        print(f"{len(trace.seconds)} tests, {sum(trace.seconds.values()):.0f} s of processor time without a mutant")
        functions = Functions({str(mutant.module) for mutant in self._mutants})
        items = {item.nodeid: item for item in session.items}

        def swapped(mutant: Mutant, codes: dict[str, CodeType], tests: list[str], killer: Killer) -> int:
            functions.swap(mutant, codes)
            session.config.pluginmanager.register(killer)
            return _outcome(session, [items[test] for test in tests])

        _check(self._mutants[0].module, trace, swapped)
        try:
            for mutant in self._mutants:
                file, codes = str(mutant.module), functions_that_differ(mutant)
                if codes is None or not functions.holds(file, codes):
                    tests = self._killers_first(file, (), trace.of_all(file))
                    self._start(Fork(mutant, len(tests), ()), partial(_imported, mutant, tests))
                else:
                    tests = self._killers_first(file, tuple(codes), trace.of(file, codes))
                    self._start(Fork(mutant, len(tests), tuple(codes)), partial(swapped, mutant, codes, tests))
            while self._running:
                self._reap()
        finally:
            for pid in self._running:
                _end_group(pid)
        return True

    def _killers_first(self, file: str, functions: tuple[str, ...], tests: list[str]) -> list[str]:
        """What has killed a mutant of these functions is likely to kill the next."""
        kills = self._kills[file, functions]
        return sorted(tests, key=lambda test: -kills[test])

    def _traced(self, session: pytest.Session) -> Trace:
        """Of all tests, by as many processes as there are cores."""
        files = list(dict.fromkeys(item.path for item in session.items))
        count = os.cpu_count() or 1
        with tempfile.TemporaryDirectory() as folder:

            def run(part: int) -> int:
                tracer = Tracer({str(mutant.module) for mutant in self._mutants})
                session.config.pluginmanager.register(tracer)
                _outcome(session, [item for item in session.items if files.index(item.path) % count == part])
                Path(folder, str(part)).write_bytes(pickle.dumps(tracer.trace))
                return 0

            for pid in [_forked(partial(run, part), 0) for part in range(count)]:
                os.waitpid(pid, 0)
            traces: list[Trace] = [pickle.loads(Path(folder, str(part)).read_bytes()) for part in range(count)]
        return Trace.of_parts(traces)

    def _start(self, fork: Fork, run: Callable[[Killer], int]) -> None:
        while len(self._running) >= (os.cpu_count() or 1):
            self._reap()
        seconds = WHEN_COMPILED if str(fork.mutant.module.relative_to(ROOT)) in COMPILED else PROCESSOR_SECONDS
        self._running[_forked(partial(run, fork.killer), seconds)] = fork

    def _reap(self) -> None:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            for child, fork in self._running.items():
                if time.monotonic() - fork.began > SECONDS:
                    os.killpg(child, signal.SIGKILL)
            time.sleep(0.01)
            return
        fork = self._running.pop(pid)
        _end_group(pid)
        if test := fork.killer.test:
            self._kills[str(fork.mutant.module), fork.functions][test] += 1
        fates = {SURVIVED: Fate.SURVIVED, KILLED: Fate.KILLED}
        self._each(Result(fork.mutant, fates.get(os.waitstatus_to_exitcode(status), Fate.TIMEOUT), fork.tests))


def _check(
    module: Path, trace: Trace, swapped: Callable[[Mutant, dict[str, CodeType], list[str], Killer], int]
) -> None:
    """A mutant that changes nothing survives, either way: what else ends a fork must not count as killed."""
    unchanged, file = Mutant(module, "", 0, "", "", module.read_text()), str(module)
    for run in (partial(swapped, unchanged, {}, trace.of(file, ())), partial(_imported, unchanged, trace.of_all(file))):
        _, status = os.waitpid(_forked(partial(run, Killer()), WHEN_COMPILED), 0)
        if os.waitstatus_to_exitcode(status) != SURVIVED:
            raise pytest.UsageError(f"a mutant that is no other does not survive: {run}")


def _imported(mutant: Mutant, tests: list[str], killer: Killer) -> int:
    """What a module says outside its functions counts when it is imported: by a process that has forgotten our modules,
    and keeps those of the libraries.
    """
    forget_all(ROOT)
    importing(mutant.module, mutant.source)
    if str(mutant.module.relative_to(ROOT)) in COMPILED:
        without_stored_code()
    return SURVIVED if pytest.main([*OPTIONS, *tests], plugins=[killer]) == pytest.ExitCode.OK else KILLED


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


def _forked(run: Callable[[], int], seconds: int) -> int:
    """A child with a process group of its own, silent, that ends with what `run` returns, or after these seconds of the
    processor (0: never).
    """
    pid = os.fork()
    if pid:
        return pid
    code = KILLED
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
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
    KeyboardInterrupt
        As the user asked.
    """
    marks = "not slow and not nightly" + ("" if brokers else " and not broker")
    settings.load_profile("mutation")
    words = [*OPTIONS, "-m", marks, *tests]
    code = pytest.main(words, plugins=[Runner(mutants, each)])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ends with {code}")
