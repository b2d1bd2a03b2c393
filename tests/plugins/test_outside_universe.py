"""A batch of which no strategy wants a single bar is counted and done with: the partition goes on."""

import numpy as np

from plugins.base.bars import BAR, BarBatch
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy


def test_batch_of_strangers() -> None:
    strategy = Strategy(
        interval="1m", universe=["SPY"], features=["technical.rsi"], prediction="rsi", signal="signal.threshold"
    )
    pipeline = Pipeline([ready_strategy("mine", strategy)], Source("bars", 0, "test"))
    outcome = pipeline.feed({"1m": BarBatch(["IBM", "AIG"], np.zeros(2, BAR), np.arange(2, dtype=np.int64))})
    assert outcome.signals == []
    assert outcome.counts["outside_universe"] == 2
