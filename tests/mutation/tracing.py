"""Which functions of the mutated modules each test runs, and how long it takes."""

import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from types import FrameType
from typing import Any

import pytest

BUDGET = 5.0
"""Processor seconds of tests that a mutant meets at most (one test at least); what none notices has survived."""


@dataclass
class Trace:
    """Of all tests: seconds, and the tests that ran each function, by file and qualified name."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @classmethod
    def of_parts(cls, parts: Iterable["Trace"]) -> "Trace":
        """All of them as one."""
        whole = cls()
        for part in parts:
            whole.seconds |= part.seconds
            whole.failed += part.failed
            for function, tests in part.tests.items():
                whole.tests.setdefault(function, set()).update(tests)
        return whole

    def of(self, file: str, functions: Collection[str]) -> list[str]:
        """Tests that run one of the functions, quickest first, as far as `BUDGET` goes; those that run any function of
        the file where none of these is seen to run: compiled code is not seen.
        """
        return self._quickest(self._that_ran(file, functions) or self._that_ran(file, None) or set(self.seconds))

    def of_all(self, file: str) -> list[str]:
        """Tests that run any function of the file, and as many of the others: they may read what it defines."""
        ran = self._that_ran(file, None)
        return self._quickest(ran) + self._quickest(set(self.seconds) - ran)

    def _quickest(self, tests: set[str]) -> list[str]:
        ordered = sorted(tests, key=lambda test: self.seconds[test])
        spent = accumulate(self.seconds[test] for test in ordered)
        return [test for test, seconds in zip(ordered, spent, strict=True) if seconds <= BUDGET] or ordered[:1]

    def _that_ran(self, file: str, functions: Collection[str] | None) -> set[str]:
        found: set[str] = set()
        for (where, name), tests in self.tests.items():
            if where == file and (functions is None or name in functions):
                found |= tests
        return found


class Tracer:
    """A pytest plugin that fills in a `Trace`."""

    def __init__(self, files: set[str]) -> None:
        self.trace = Trace()
        self._files = files
        self._ran: set[tuple[str, str]] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        self._ran.clear()
        began = time.process_time()
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            self.trace.seconds[item.nodeid] = time.process_time() - began
            for function in self._ran:
                self.trace.tests.setdefault(function, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.trace.failed.append(report.nodeid)

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code.co_filename in self._files:
            self._ran.add((code.co_filename, code.co_qualname))
