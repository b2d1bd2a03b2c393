"""Each mistake that needs no broker to be found turns a check red; without it all seeds are green."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.faults.lives import (
    faults_of,
    faults_of_catching_up,
    faults_of_changes,
    faults_of_gathering,
    faults_of_old_snapshots,
    faults_of_partitioners,
    faults_of_swaps,
)
from tests.faults.mutations import IN_GATHERING, IN_MEMORY
from tests.support.memory import CHANGES

SEEDS = range(12)
ENOUGH = 2
"""Failed checks after which a mistake counts as found."""
WAYS = [(False, False), (True, False), (False, True)]
"""(transactions, several owners at once)."""


def cases() -> Iterator[tuple[str, Iterator[str]]]:
    """What is tried, each with the checks that fail."""
    for seed in SEEDS:
        for transactional, zombies in WAYS:
            yield f"{_told(transactional)}{', a zombie' if zombies else ''}", faults_of(seed, transactional, zombies)
        for transactional in (False, True):
            yield f"{_told(transactional)}, a strategy changes", faults_of_changes(seed, transactional)
            yield f"{_told(transactional)}, changes are published", faults_of_changes(seed, transactional, CHANGES)
            yield f"{_told(transactional)}, models are exchanged", faults_of_swaps(seed, transactional)
            yield f"{_told(transactional)}, the partitioner changes", faults_of_partitioners(seed, transactional)
            yield f"{_told(transactional)}, one catches up", faults_of_catching_up(seed, transactional)
        yield "a zombie's old snapshots", faults_of_old_snapshots(seed)


def _told(transactional: bool) -> str:
    return "with transactions" if transactional else "without transactions"


LIVES = {
    "new_configuration_keeps_the_state": "a strategy changes",
    "partitioner_from_the_marker": "the partitioner changes",
    "stale_snapshot_used": "a zombie's old snapshots",
}
"""What is tried first for a mistake that shows in few other lives."""


def red(first: str = "") -> Iterator[str]:
    """Each check that failed, with the case."""
    ordered = sorted(cases(), key=lambda case: first not in case[0])
    return (f"{check} ({case})" for case, faults in ordered for check in faults)


def test_without_a_mistake_nothing_is_red() -> None:
    assert not list(red())


@pytest.mark.parametrize("name", IN_MEMORY)
def test_a_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    IN_MEMORY[name].mutate(monkeypatch.setattr)
    found = Counter(islice(red(LIVES.get(name, "")), ENOUGH))
    print(f"\n| {IN_MEMORY[name].mistake} | {', '.join(f'{check}: {n}' for check, n in found.items())} |")
    assert found


def red_of_gathering() -> Iterator[str]:
    """The same of the owner of a partition of predictions, where a mistake shows less often."""
    for seed in range(25):
        for transactional in (False, True):
            for check in faults_of_gathering(seed, transactional):
                yield f"{check} ({_told(transactional)})"


def test_without_a_mistake_gathering_is_not_red() -> None:
    assert not list(red_of_gathering())


@pytest.mark.parametrize("name", IN_GATHERING)
def test_a_mistake_in_gathering_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    IN_GATHERING[name].mutate(monkeypatch.setattr)
    found = Counter(islice(red_of_gathering(), ENOUGH))
    print(f"\n| {IN_GATHERING[name].mistake} | {', '.join(f'{check}: {n}' for check, n in found.items())} |")
    assert found
