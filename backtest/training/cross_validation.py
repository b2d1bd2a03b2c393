"""A strategy's model trained and tested many times: walk-forward, rolling, and combinatorial purged (CPCV)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sources.news import NewsOf
from backtest.sweep.workers import workers
from backtest.training.bootstrap import estimates
from backtest.training.fitting import fit, new_model, predictions_of
from backtest.training.outcome.importance import gain_of, permuted
from backtest.training.samples import Samples, check_learnable, make_samples, select
from backtest.training.scores import Comparison, Scores, out_of_sample, scores_of
from backtest.training.splits import Split, combinatorial, paths_of, rolling, walk_forward
from plugins.base.loading.discovery import file_of, require
from plugins.models import model_registry
from plugins.models.artifacts.manifest import Estimate, OutOfSample
from schemas.configuration import Config, Strategy

Method = Literal["walk-forward", "rolling", "cpcv"]
FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Predicted = tuple[FloatArray, float, dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Fold:
    """One training, and how it did on the blocks of time numbered `groups`, whose rows it did not see.

    `importance`: what the information coefficient loses there when a column's values are shuffled.
    `gain`: each column's share of what the model's library says that its splits gained.
    """

    groups: tuple[int, ...]
    train_rows: int
    purged: int
    test: Scores
    ic: Estimate
    importance: dict[str, float] = field(default_factory=dict)
    gain: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation came to.

    `pooled` are the scores of all out-of-sample predictions together (walk-forward, rolling), where each row is
    predicted once; `paths` those of each backtest path (CPCV), on each of which every row is predicted once.
    """

    method: Method
    folds: list[Fold]
    pooled: OutOfSample | None = None
    paths: list[Scores] = field(default_factory=list)


def cross_validate(
    strategy_name: str,
    config: Config,
    bars: pd.DataFrame,
    method: Method,
    *,
    folds: int = 5,
    tested: int = 2,
    start: int | None = None,
    end: int | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda more: None,
    news: NewsOf | None = None,
) -> CrossValidation:
    """Trains and tests the strategy's model on each split; no artifact is written.

    Parameters
    ----------
    folds
        Blocks of time: those that are tested one after the other, or for `cpcv` all there are.
    tested
        Blocks that each split of `cpcv` tests.
    jobs
        Trainings at once, each in a process of its own (joblib's; -1: one for each core). The result is the same
        whatever it is.
    progress
        Told how many trainings are done since the last call.
    news
        Of the bars; None: what uses news is unknown.

    Raises `ConfigurationError` when there is too little to learn from in any split.
    """
    strategy = config.strategy(strategy_name)
    new_model(strategy_name, strategy)
    samples = make_samples(strategy_name, strategy, select(strategy_name, strategy, bars, end), start, news)
    check_learnable(strategy_name, strategy, samples)
    embargo = strategy.training.embargo_bars
    if method == "cpcv":
        splits = list(combinatorial(samples, folds, tested, embargo))
    else:
        splits = list((walk_forward if method == "walk-forward" else rolling)(samples, folds, embargo))
    done: list[tuple[Split, FloatArray, float]] = []
    scored: list[Fold] = []
    for split, (predictions, mean, importance, gain) in zip(
        splits, _trained(strategy_name, strategy, samples, splits, jobs), strict=True
    ):
        done.append((split, predictions, mean))
        scored.append(replace(_fold(strategy, samples, split, predictions, mean), importance=importance, gain=gain))
        progress(1)
    if method == "cpcv":
        return CrossValidation(method, scored, paths=_paths(samples, done, folds, tested))
    return CrossValidation(method, scored, pooled=_pooled(strategy, samples, done))


def _trained(
    name: str, strategy: Strategy, samples: Samples, splits: Sequence[Split], jobs: int
) -> Iterator[Predicted]:
    """What `_predicted` says of each split, in their order."""
    from joblib import Parallel, delayed

    assert strategy.model is not None
    file = file_of(model_registry.get(strategy.model.key))
    with workers("loky", None):
        yield from Parallel(n_jobs=jobs, return_as="generator")(
            delayed(_predicted)(name, strategy, samples, split, file) for split in splits
        )


def _predicted(name: str, strategy: Strategy, samples: Samples, split: Split, file: Path | None) -> Predicted:
    """Predictions of the test rows, NaN elsewhere, the mean of the training's targets, and what columns weigh, by
    permutation and by gain; `file`: where a process that does not know the model finds it.
    """
    if strategy.model is not None:
        require(model_registry, strategy.model.key, file)
    check_learnable(name, strategy, samples.where(split.train))
    samples = samples.only(samples.where(split.train).known_columns)
    kept = samples.where(split.train)
    model = fit(name, strategy, kept, samples)
    every = np.full(len(samples.y), np.nan)
    every[split.test] = predictions_of(model, samples, split.test)
    mean = float(kept.y.mean())
    importance = permuted(model, samples, split.test, every[split.test], mean)
    return every, mean, importance, gain_of(model, [str(name) for name in samples.X.columns])


def _fold(strategy: Strategy, samples: Samples, split: Split, predictions: FloatArray, mean: float) -> Fold:
    test = samples.where(split.test)
    compare = Comparison(np.asarray(test.y, np.float64), predictions[split.test], mean)
    ic = estimates(test.times, strategy.training.horizon_bars, lambda weights: compare(weights)[:1])[0]
    scores = scores_of(test, predictions[split.test], mean)
    return Fold(split.groups, int(split.train.sum()), split.purged, scores, ic)


def _pooled(strategy: Strategy, samples: Samples, done: list[tuple[Split, FloatArray, float]]) -> OutOfSample:
    """All test rows together; R² against the mean of all trainings' means, each by its test rows."""
    test = np.logical_or.reduce([split.test for split, _, _ in done])
    predictions = np.full(len(test), np.nan)
    for split, scored, _ in done:
        predictions[split.test] = scored[split.test]
    mean = float(np.average([mean for _, _, mean in done], weights=[split.test.sum() for split, _, _ in done]))
    return out_of_sample(samples.where(test), predictions[test], mean, strategy.training.horizon_bars)


def _paths(samples: Samples, done: list[tuple[Split, FloatArray, float]], groups: int, tested: int) -> list[Scores]:
    """The scores of each path: every group as predicted by one of the splits that tested it."""
    times, grid = samples.times, np.unique(samples.times)
    blocks = np.array_split(grid, groups)
    group_of = np.searchsorted([block[-1] for block in blocks], times)
    scored = []
    for path in paths_of(groups, tested):
        predictions = np.choose(group_of, [done[number][1] for number in path])
        mean = float(np.mean([done[number][2] for number in path]))
        scored.append(scores_of(samples, predictions, mean))
    return scored
