"""What a bar costs between the arrays of a chunk and the bytes in a batch, in one process, by its processor's time."""

import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from benchmarks.common import FEATURES, generated_bars
from plugins.base.bars import BarBatch
from plugins.models import BaseModel, model_registry
from plugins.pipeline.frames import batch_from_frame, feature_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.records.published import Source
from plugins.pipeline.strategy_run import RunSettings
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Strategy
from schemas.wire import FIRST_TIME, Model
from streams.kafka.row_batches import RecordRows, RowBatch
from streams.kafka.topics.specs import LARGEST_BATCH

CHUNK, FURTHER = 500, 15_000
"""Bars of a chunk; those that are kept for measuring."""
Trained = tuple[BaseModel, Model]
PRODUCER = SimpleNamespace(
    _message_accumulator=SimpleNamespace(_txn_manager=None, _batch_size=LARGEST_BATCH, _compression_type=0)
)
"""What a batch asks of its producer; compression is left to the broker's benchmarks."""


def strategy(number: int, trained: Trained | None, features: Sequence[Any] = tuple(FEATURES)) -> ReadyStrategy:
    """With a threshold of its own; without a model its first column is the prediction."""
    settings: dict[str, Any] = {
        "interval": "1m", "features": list(features), "start": "earliest",
        "signal": {"key": "signal.threshold", "buy_threshold": 5e-4 + 1e-6 * number, "sell_threshold": -5e-4},
    }  # fmt: skip
    settings |= {"model": {"key": "ml.lightgbm", "artifact": "none"}} if trained else {"prediction": "rsi"}
    return ready_strategy(f"s{number}", Strategy.model_validate(settings), model=trained)


def trained(trees: int = 200, seed: int = 1) -> Trained:
    """LightGBM on generated bars, with the features of `strategy`."""
    bars = generated_bars(20, 1_000, seed)
    plain = Strategy.model_validate(
        {"interval": "1m", "features": FEATURES, "prediction": "rsi", "signal": {"key": "signal.threshold"}}
    )
    x = feature_frame("demo", plain, bars)
    closes = bars.set_index(["symbol", "close_time"])["close"]
    y = closes.groupby(level=0).pct_change().shift(-20).to_numpy()
    known = ~(x.isna().any(axis=1).to_numpy() | (y != y))
    model = model_registry.create("ml.lightgbm", n_estimators=trees, min_child_samples=5)
    model.train(x[known], closes[known].set_axis(x.index[known]).mul(0.0).add(y[known]))
    return model, Model("ml.lightgbm", f"{trees}.{seed}".ljust(64, "0"))


def chunks(batch: BarBatch, size: int, first: int = 0, end: int | None = None) -> Iterator[dict[str, BarBatch]]:
    end = len(batch) if end is None else end
    for begin in range(first, end, size):
        part = slice(begin, min(begin + size, end))
        yield {"1m": BarBatch(batch.symbols[part], batch.bars[part], batch.offsets[part])}


def publish(pipeline: Pipeline, chunk: dict[str, BarBatch]) -> int:
    """One chunk, into batches as a writer fills them; how many signals it came to."""
    batch, signals = RowBatch(PRODUCER), 0
    for columns in pipeline.feed(chunk).signals.columns:
        left: RecordRows | None = RecordRows("signals", columns.rendered()) if len(columns) else None
        while left:
            signals += (taken := batch.extend(left))
            if left := left.later(taken):
                batch = RowBatch(PRODUCER)
    return signals


class InMemory:
    """A pipeline whose `symbols` are warm, and what further bars of theirs cost."""

    def __init__(self, strategies: Sequence[ReadyStrategy], symbols: int = CHUNK, warm: int = 30) -> None:
        settings = {one.name: RunSettings(start_time=FIRST_TIME) for one in strategies}
        self.pipeline = Pipeline(strategies, Source("bars", 0, "benchmark"), settings)
        self.strategies, self.at = len(strategies), symbols * warm
        self.batch = batch_from_frame(generated_bars(symbols, warm + max(2, -(-FURTHER // symbols))))
        for chunk in chunks(self.batch, 10_000, 0, self.at):
            self.pipeline.feed(chunk)

    def cost(self, bars: int, size: int = CHUNK) -> float:
        """Microseconds a bar, in chunks of `size`."""
        parts = list(chunks(self.batch, size, self.at, self.at + bars))
        began = time.process_time()
        signals = sum(publish(self.pipeline, part) for part in parts)
        seconds = time.process_time() - began
        self.at += bars
        if signals != bars * self.strategies:
            raise SystemExit(f"{signals} signals of {self.strategies} strategies for {bars} bars")
        return 1e6 * seconds / bars
