"""Strategies in memory: their columns over a frame, and whether they go on to the byte after a restart at any bar."""

from typing import Any

import pandas as pd

from backtest.replay.stretches import recreated
from plugins.base.bars import BarBatch
from plugins.pipeline.frames import batch_from_frame, feature_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config, Strategy
from schemas.wire import Applied, Origin, Snapshot, encode

SIGNAL = {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0}


def strategy(features: list[Any], prediction: str, **changes: Any) -> Strategy:
    """One of minute bars."""
    plain = {"interval": "1m", "features": features, "prediction": prediction, "signal": SIGNAL, "start": "earliest"}
    return Strategy.model_validate(plain | changes)


def columns(features: list[Any], bars: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """The feature columns that training sees, by symbol and time."""
    first = changes.pop("prediction", "rsi")
    return feature_frame("one", strategy(features, first, **changes), bars)


def part(batch: BarBatch, first: int, last: int) -> BarBatch:
    return BarBatch(batch.symbols[first:last], batch.bars[first:last], batch.offsets[first:last])


def texts(pipeline: Pipeline, interval: str, batch: BarBatch) -> list[bytes]:
    return [encode(signal) for signal in pipeline.feed({interval: batch}).signals]


def stored(pipeline: Pipeline) -> dict[str, Snapshot]:
    for group in pipeline.groups.values():
        group.dirty[: len(group.symbols)] = True
    return {f"{snapshot.owner}/{snapshot.symbol}": snapshot for snapshot in pipeline.capture(0).snapshots()}


def goes_on_anywhere(ready: ReadyStrategy, bars: pd.DataFrame, every: int = 1) -> None:
    """Stored and restored after each bar, after each `every`, its signals and its states have the same bytes."""
    batch, source = batch_from_frame(bars), Source("bars", 0, "v")
    whole = Pipeline([ready], source)
    expected = texts(whole, ready.interval, batch)
    for cut in range(0, len(batch) + 1, every):
        first, second = Pipeline([ready], source), Pipeline([ready], source)
        before = texts(first, ready.interval, part(batch, 0, cut))
        second.restore(list(first.capture(cut).snapshots()))
        assert before + texts(second, ready.interval, part(batch, cut, len(batch))) == expected
        assert stored(second) == stored(whole)


def is_made_again(ready: ReadyStrategy, configured: Strategy) -> None:
    """From what `applied` holds, a replay makes the same strategy."""
    entry = Applied("one", "bars", 0, 0, Origin(0, 0), 0, ready.config_hash, ready.config, layout=ready.layout)
    again = recreated(entry, Config(strategies={"one": configured}))
    assert again is not None
    assert (again.config_hash, again.layout, again.columns) == (ready.config_hash, ready.layout, ready.columns)
