"""Each mistake that needs no broker to be found turns a check red; without it all seeds are green."""

from collections import Counter

import pytest

from tests.faults.lives import faults_of
from tests.faults.mutations import IN_MEMORY

WAYS = [(False, False, range(12)), (True, False, range(12)), (False, True, range(36, 46))]
"""(transactions, several owners at once, seeds); a zombie that does harm is seldom, these seeds have some."""


def red() -> Counter[str]:
    """How often each check failed."""
    return Counter(
        f"{check} ({'with' if transactional else 'without'} transactions{', a zombie' if zombies else ''})"
        for transactional, zombies, seeds in WAYS
        for seed in seeds
        for check in faults_of(seed, transactional, zombies)
    )


def test_without_a_mistake_nothing_is_red() -> None:
    assert not red()


@pytest.mark.parametrize("name", IN_MEMORY)
def test_a_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    IN_MEMORY[name].mutate(monkeypatch.setattr)
    found = red()
    print(f"\n| {IN_MEMORY[name].mistake} | {', '.join(f'{check}: {n}' for check, n in found.items())} |")
    assert found
