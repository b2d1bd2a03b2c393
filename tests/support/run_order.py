"""Which tests run where and when, if several processes share them (``-n``)."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

SPREAD = {
    "tests/faults/test_mutations_in_memory.py",
    "tests/fuzz/test_decoders.py",
    "tests/streams/test_crash.py",
}
"""Files whose tests take long and share nothing: each test goes to whichever process is free."""

FIRST = (
    "tests/faults/test_run.py",
    "tests/faults/test_mutations_on_kafka.py",
    "tests/plugins/conformance/test_table.py",
    "tests/test_demo.py",
)
"""Files that alone take as long as all others together, by one of several processes."""


class ByFile(LoadFileScheduling):
    """The tests of a file stay together, since they share its fixtures; files in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if file_of(nodeid) in SPREAD else file_of(nodeid)


def file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def in_turn(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The longest files; tests that take long one by one; then in turn a file that waits for brokers and one that
    computes, so that the cores have something to do meanwhile; examples in docstrings, which are short, last.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(file_of(item.nodeid), []).append(item)
    first = [files.pop(file) for file in FIRST if file in files]
    spread = [files.pop(file) for file in sorted(SPREAD) if file in files]
    others = [*files.values()]
    examples = [tests for tests in others if all(isinstance(test, pytest.DoctestItem) for test in tests)]
    waiting = [tests for tests in others if any(test.get_closest_marker("broker") for test in tests)]
    computing = [tests for tests in others if tests not in examples and tests not in waiting]
    turns = [tests for turn in zip_longest(waiting, computing, fillvalue=[]) for tests in turn]
    return [test for tests in (*first, *spread, *turns, *examples) for test in tests]
