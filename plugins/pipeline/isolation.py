"""A strategy that fails on a bar stops there, and the others go on."""

import numpy as np

from plugins.base.plugin_errors import is_ours
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.outcome import Failure, RunOutcome
from plugins.pipeline.strategy_run import StrategyRun


def feed_isolated(run: StrategyRun, accepted: AcceptedBars) -> RunOutcome:
    """As `StrategyRun.feed`, up to the first bar at which the strategy fails: the outcome's `failure` names it, and the
    states are as they were before that bar, wherever the batch was cut.

    Any error counts, as it is foreign code that is called. A batch on which it fails is halved until the bar is found.
    """
    saved = run.save(accepted.slots)
    try:
        return run.feed(accepted)
    except BaseException as error:
        if is_ours(error):
            raise
        run.rewind(saved)
        if len(accepted) == 1:
            return RunOutcome(failure=_failure(run, accepted, 0, error))
    outcome = RunOutcome()
    for half in np.array_split(np.arange(len(accepted)), 2):
        if outcome.failure is None:
            outcome.add(feed_isolated(run, accepted.at(half)))
    return outcome


def step_or_raise(run: StrategyRun, accepted: AcceptedBars) -> FeatureRows:
    """As `StrategyRun.step`; where that fails, a `PluginError` that names the first bar at which it does."""
    saved = run.save(accepted.slots)
    try:
        return run.step(accepted)
    except BaseException as raised:
        if is_ours(raised):
            raise
        run.rewind(saved)
        error = raised
    begin, end = 0, len(accepted)
    while end - begin > 1:
        middle = (begin + end) // 2
        half = accepted.at(np.arange(begin, middle))
        saved = run.save(half.slots)
        try:
            run.step(half)
            begin = middle
        except BaseException as raised:
            if is_ours(raised):
                raise
            run.rewind(saved)
            error, end = raised, middle
    raise _failure(run, accepted, begin, error).as_error()


def _failure(run: StrategyRun, accepted: AcceptedBars, row: int, error: BaseException) -> Failure:
    return Failure(run.strategy.name, int(accepted.offsets[row]), accepted.describe(row), error)
