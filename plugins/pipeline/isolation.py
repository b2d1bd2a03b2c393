"""A strategy that fails on a bar stops there, and the others go on."""

import numpy as np

from plugins.base.plugin_errors import is_ours
from plugins.pipeline.accepted_bars import AcceptedBars, FeatureRows
from plugins.pipeline.outcome import Failure, RunOutcome
from plugins.pipeline.strategy_run import StrategyRun


def feed_isolated(run: StrategyRun, accepted: AcceptedBars) -> RunOutcome:
    """What the strategy makes of the bars, up to the first at which it fails: the outcome's `failure` names it,
    wherever the batch was cut.

    Any error counts, as it is foreign code that is called. A batch on which it fails is halved until the bar is found.
    Features may be those of other strategies, too: they fail for all of them.
    """
    with run.lap("features", len(accepted)):
        stepped = run.step(accepted)
    outcome = _decided(run, stepped.features)
    if outcome.failure is None and stepped.error is not None and stepped.failed is not None:
        outcome.failure = _failure(run, stepped.failed, stepped.error)
    return outcome


def _decided(run: StrategyRun, features: FeatureRows) -> RunOutcome:
    """As `StrategyRun.feed`; its own states are as they were before the bar at which it fails."""
    saved = run.save(features.accepted.slots)
    try:
        return run.feed(features)
    except BaseException as error:
        if is_ours(error):
            raise
        run.rewind(saved)
        if len(features) == 1:
            return RunOutcome(failure=_failure(run, features.accepted, error))
    outcome = RunOutcome()
    for half in np.array_split(features.rows, 2):
        if outcome.failure is None:
            outcome.add(_decided(run, features.at(half)))
    return outcome


def step_or_raise(run: StrategyRun, accepted: AcceptedBars) -> FeatureRows:
    """The bars with their feature values; where a feature fails, a `PluginError` that names the first bar at which it
    does.
    """
    stepped = run.step(accepted)
    if stepped.error is not None and stepped.failed is not None:
        raise _failure(run, stepped.failed, stepped.error).as_error()
    return stepped.features


def _failure(run: StrategyRun, bar: AcceptedBars, error: BaseException) -> Failure:
    return Failure(run.strategy.name, int(bar.offsets[0]), bar.describe(0), error)
