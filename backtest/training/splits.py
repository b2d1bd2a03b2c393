"""Which rows to train on and which to test on, so that no training row knows what a test row is about.

A row occupies the interval from its decision to when its target is known. Training rows whose interval overlaps a test
block's are left out (purged), and so are those of `embargo` more bar times on both sides of it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from backtest.training.samples import Mask, Samples
from schemas.errors import ConfigurationError

Times = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to test on; `groups` are the numbers of the blocks of time that are tested."""

    train: Mask
    test: Mask
    purged: int
    groups: tuple[int, ...]


def hold_out(samples: Samples, fraction: float, embargo: int) -> Split:
    """Trains on all but the latest `fraction` of the rows, by time."""
    if not 0.0 < fraction < 1.0:
        raise ConfigurationError(
            f"holdout {fraction} is not between 0 and 1; 0.2 keeps the last fifth out of the training"
        )
    times = samples.times
    if not len(times):
        return Split(np.zeros(0, np.bool_), np.zeros(0, np.bool_), 0, (0,))
    first = times[min(len(times) - 1, math.ceil(len(times) * (1.0 - fraction)))]
    return _split(samples, [times >= first], times < first, embargo, (0,))


def walk_forward(samples: Samples, folds: int, embargo: int) -> Iterator[Split]:
    """The second half of the times in `folds` blocks, each tested on by a training on everything before it."""
    yield from _forward(samples, folds, embargo, lambda times, first: times < first)


def rolling(samples: Samples, folds: int, embargo: int) -> Iterator[Split]:
    """As `walk_forward`, but each training reaches back over half of the times only."""
    grid = np.unique(samples.times)
    half = len(grid) // 2

    def before(times: Times, first: int) -> Mask:
        start = grid[int(np.searchsorted(grid, first)) - half]
        return np.asarray((times >= start) & (times < first), np.bool_)

    yield from _forward(samples, folds, embargo, before)


def combinatorial(samples: Samples, groups: int, tested: int, embargo: int) -> Iterator[Split]:
    """Combinatorial purged cross-validation: the times in `groups` blocks; each choice of `tested` of them is tested on
    by a training on the others, C(groups, tested) splits in all.

    References
    ----------
    M. López de Prado, Advances in Financial Machine Learning, Wiley 2018, sections 7.4 and 12.4.
    """
    if not 1 <= tested < groups:
        raise ConfigurationError(f"{tested} test groups of {groups}: test at least 1 and fewer than there are")
    blocks = _blocks(np.unique(samples.times), groups)
    inside = [_within(samples.times, block) for block in blocks]
    for chosen in combinations(range(groups), tested):
        test = [inside[number] for number in chosen]
        rest = ~np.logical_or.reduce(test)
        yield _split(samples, test, rest, embargo, chosen)


def paths_of(groups: int, tested: int) -> list[list[int]]:
    """The backtest paths of `combinatorial`: for each path the number of the split that predicts each group.

    There are ``C(groups, tested) * tested / groups`` of them, and each split's prediction of a group is in one.

    >>> len(paths_of(6, 2))
    5
    """
    splits = list(combinations(range(groups), tested))
    of_group = [[number for number, chosen in enumerate(splits) if group in chosen] for group in range(groups)]
    return [list(path) for path in zip(*of_group, strict=True)]


def _forward(samples: Samples, folds: int, embargo: int, before: Callable[[Times, int], Mask]) -> Iterator[Split]:
    grid = np.unique(samples.times)
    for number, block in enumerate(_blocks(grid[len(grid) // 2 :], folds)):
        rest = before(samples.times, int(block[0]))
        yield _split(samples, [_within(samples.times, block)], rest, embargo, (number,))


def _blocks(grid: Times, count: int) -> list[Times]:
    if count < 1 or len(grid) < 2 * count:
        raise ConfigurationError(
            f"{count} blocks of {len(grid)} bar times: each needs at least 2; give more bars, or fewer --folds"
        )
    return np.array_split(grid, count)


def _within(times: Times, block: Times) -> Mask:
    return np.asarray((times >= block[0]) & (times <= block[-1]), np.bool_)


def _split(samples: Samples, blocks: list[Mask], rest: Mask, embargo: int, groups: tuple[int, ...]) -> Split:
    train = rest.copy()
    for block in blocks:
        train &= clear_of(samples, block, embargo)
    return Split(train, np.logical_or.reduce(blocks), int(rest.sum() - train.sum()), groups)


def known_before(samples: Samples, time: int, embargo: int) -> Mask:
    """Rows whose target is known before `time` (ms, a bar's close), by more than `embargo` bar times."""
    earlier = np.unique(samples.times[samples.times < time])
    limit = int(earlier[max(len(earlier) - embargo, 0)]) if embargo and len(earlier) else time
    return np.asarray(samples.known.to_numpy() < limit, np.bool_)


def clear_of(samples: Samples, block: Mask, embargo: int) -> Mask:
    """Rows whose interval ends before the block's begins, or begins after it ends, by more than `embargo` bar times.

    The block's interval is from its first decision to when its last target is known.
    """
    times, known = samples.times, samples.known.to_numpy()
    grid = np.unique(times)
    first = int(np.searchsorted(grid, times[block].min()))
    last = int(np.searchsorted(grid, known[block].max(), side="right")) - 1
    before = known_before(samples, int(grid[first]), embargo)
    after = times > max(int(known[block].max()), int(grid[min(last + embargo, len(grid) - 1)]))
    return np.asarray(before | after, np.bool_)
