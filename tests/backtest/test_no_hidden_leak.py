"""On the real bars that ship: without a target to learn there is no skill, and a leak would be seen in the scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest.training.fitting import fit, predictions_of
from backtest.training.samples import Samples, make_samples
from backtest.training.scores import out_of_sample
from backtest.training.splits import hold_out
from plugins.models.artifacts.manifest import Estimate
from schemas.configuration import Strategy
from streams.ingest.bar_files import read_bars

BARS = Path(__file__).parents[2] / "examples" / "data" / "equities_daily.parquet"
STRATEGY = Strategy.model_validate(
    {
        "interval": "1d",
        "features": [
            {"technical.rsi": {"period": 3}},
            {"statistical.momentum": {"window": 1}},
            {"statistical.momentum": {"window": 5, "as": "momentum_slow"}},
            "statistical.z_score",
        ],
        "model": {"key": "ml.lightgbm", "artifact": "x", "params": {"n_estimators": 60, "num_leaves": 15}},
        "training": {"horizon_bars": 2},
        "signal": "signal.threshold",
    }
)


@pytest.fixture(scope="module")
def data() -> Samples:
    return make_samples("s", STRATEGY, read_bars([str(BARS)], "1d"))


def skill(samples: Samples) -> Estimate:
    """The information coefficient on the last third, of a model that was trained on the rest."""
    split = hold_out(samples, 0.33, 0)
    kept, later = samples.where(split.train), samples.where(split.test)
    model = fit("s", STRATEGY, kept)
    return out_of_sample(later, predictions_of(model, later), float(kept.y.mean()), 2, resamples=300).model.ic


def test_a_shuffled_target_gives_no_skill(data: Samples) -> None:
    """Of ten intervals of 95%, one or the other may miss."""
    found = []
    for seed in range(10):
        y = pd.Series(np.random.default_rng(seed).permutation(data.y.to_numpy()), data.y.index)
        found.append(skill(Samples(data.X, y, data.known, data.last_return, data.dropped)))
    assert sum(each.low < 0 < each.high for each in found) >= 8
    assert abs(np.mean([each.value for each in found])) < 0.015


def test_features_of_the_next_bar_are_seen_in_the_scores(data: Samples) -> None:
    """The next bar's close is half way to the exit: whoever knows it earns. Nothing in the honest rows does."""
    leaked = data.X.groupby(level=0, sort=False).shift(-1)
    honest, leaking = skill(data), skill(Samples(leaked, data.y, data.known, data.last_return, data.dropped))
    assert leaking.low > 0.2
    assert leaking.low > honest.high + 0.1
    assert honest.high < 0.15
