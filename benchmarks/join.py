"""What joining news costs a bar: a pipeline of one strategy with and without scores, and reading a score."""

import statistics
import time

import numpy as np

from benchmarks.common import generated_bars
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.side_inputs.news.join import Counted, Entry, Joining, NewsJoin
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Strategy

SYMBOLS, EACH, ROUNDS, CHUNK = 500, 200, 5, 2_000
BARS = generated_bars(SYMBOLS, EACH)


def strategy(news: bool) -> Strategy:
    features = ["technical.rsi", *(["news.finbert_sentiment"] if news else [])]
    signal = {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0}
    settings = {"interval": "1m", "features": features, "prediction": "rsi", "signal": signal, "start": "earliest"}
    return Strategy.model_validate(settings | {"news": {"scorer": "lexicon"}})


def seconds(news: bool, scores: list[Entry]) -> float:
    """A bar, by the processor's time."""
    batch = batch_from_frame(BARS)
    ready, durations = ready_strategy("s", strategy(news)), []
    for _ in range(ROUNDS + 1):
        join = NewsJoin(Joining("lexicon"))
        for entry in scores:
            join.add(entry)
        join.low = int(batch.bars["time"].max())
        pipeline = Pipeline([ready], Source("bars", 0, ""), news=join if news else None)
        began = time.process_time()
        for first in range(0, len(batch), CHUNK):
            part = slice(first, first + CHUNK)
            pipeline.feed({"1m": type(batch)(batch.symbols[part], batch.bars[part], batch.offsets[part])})
        durations.append((time.process_time() - began) / len(batch))
    return statistics.median(durations[1:])


def drawn(count: int) -> list[Entry]:
    rng, bars = np.random.default_rng(1), BARS
    rows = np.sort(rng.integers(0, len(bars), count))
    picked = zip(bars["symbol"].iloc[rows].tolist(), bars["close_time"].iloc[rows].tolist(), strict=True)
    return [
        Entry(symbol, Counted(time, f"a{i}", 0.5, 0.25, 0.25, 0.9, i), f"t{i}")
        for i, (symbol, time) in enumerate(picked)
    ]


def main(_engine: str) -> None:
    bars = SYMBOLS * EACH
    print(f"joining news: {bars:,} bars of {SYMBOLS} symbols, us a bar")
    print(f"  without news            {seconds(False, []) * 1e6:6.2f}")
    for share in (0.0, 0.1, 1.0):
        count = int(share * bars)
        print(f"  {share:3.1f} articles a bar      {seconds(True, drawn(count)) * 1e6:6.2f}")
    entries, join = drawn(bars), NewsJoin(Joining("lexicon"))
    began = time.process_time()
    for entry in entries:
        join.add(entry)
    print(f"  a score taken           {(time.process_time() - began) / bars * 1e6:6.2f}")


if __name__ == "__main__":
    main("")
