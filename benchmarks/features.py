"""What a bar costs in each feature: compiled, at 500 interleaved symbols, against talipp (incremental, plain Python)
and pandas (the formula over the trailing window at each new bar), tsfresh and nolds; and a worker's start with all.

Features are timed by the processor's time, so that whatever else runs on the machine does not count.
"""

import asyncio
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.common import generated_bars
from benchmarks.startup import join, start
from plugins.base.bars import with_columns
from plugins.base.streaming import slots_of
from plugins.features import feature_registry
from plugins.fold.windowed import streaming
from plugins.pipeline.frames import batch_from_frame
from plugins.signals.long_short import Sizes
from schemas.configuration import load_config
from streams.kafka.brokers import TansuBroker
from streams.kafka.topics import create_topics

SYMBOLS, EACH, ROUNDS = 500, 400, 5
FEW = 1_000
"""Bars of one symbol for what is slow."""
SIX = [
    "technical.rsi",
    "technical.atr",
    "statistical.momentum",
    "statistical.mean_reversion",
    "statistical.z_score",
    "statistical.volatility_regime",
]
KEYS = [*SIX, "statistical.hurst_exponent", "automated.tsfresh"]
Closes = np.ndarray[Any, np.dtype[np.float64]]


def compiled(feature: Any, bars: pd.DataFrame) -> float:
    """Seconds a bar, all symbols' windows filled."""
    batch = batch_from_frame(bars)
    slots, count = slots_of(pd.MultiIndex.from_arrays([batch.symbols, np.arange(len(batch))]))
    states, outs = feature.new_states(count), np.empty((len(batch), len(feature.columns)))
    requires = feature.plugin.requires
    rows = with_columns(batch.bars, requires, [batch.bars["close"]] * len(requires))
    feature.run(states, slots, rows, outs)
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        feature.run(states, slots, rows, outs)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds) / len(batch)


def each(step: Callable[[int], object], first: int, last: int) -> float:
    """Seconds for one call of `step`, from bar `first` to `last`."""
    began = time.process_time()
    for i in range(first, last):
        step(i)
    return (time.process_time() - began) / (last - first)


def in_talipp(bars: pd.DataFrame) -> Iterator[tuple[str, float]]:
    from talipp import indicators
    from talipp.ohlcv import OHLCV

    closes = bars["close"].tolist()
    rows = [OHLCV(*values) for values in bars[["open", "high", "low", "close", "volume"]].itertuples(index=False)]
    rsi, atr, roc = indicators.RSI(14), indicators.ATR(14), indicators.ROC(20)
    mean, deviation = indicators.SMA(20), indicators.StdDev(20)

    def score(i: int) -> None:
        mean.add(closes[i])
        deviation.add(closes[i])
        if deviation[-1]:
            _ = (closes[i] - mean[-1]) / deviation[-1]

    yield "technical.rsi", each(lambda i: rsi.add(closes[i]), 0, FEW)
    yield "technical.atr", each(lambda i: atr.add(rows[i]), 0, FEW)
    yield "statistical.momentum", each(lambda i: roc.add(closes[i]), 0, FEW)
    yield "statistical.z_score", each(score, 0, FEW)
    yield "statistical.mean_reversion", each(score, 0, FEW)


def in_pandas(bars: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """The one-liners of notebooks, over no more rows than they need, at each bar."""
    close = bars["close"]

    def rsi(i: int) -> None:
        change = close.iloc[i - 99 : i + 1].diff()  # Wilder's memory, cut off
        gain, loss = (side.ewm(alpha=1 / 14).mean().iloc[-1] for side in (change.clip(lower=0), -change.clip(upper=0)))
        _ = 100 * gain / (gain + loss)

    def atr(i: int) -> None:
        last = bars.iloc[i - 99 : i + 1]
        before = last["close"].shift()
        parts = [last["high"] - last["low"], (last["high"] - before).abs(), (last["low"] - before).abs()]
        _ = pd.concat(parts, axis=1).max(axis=1).ewm(alpha=1 / 14).mean().iloc[-1]

    def score(i: int) -> None:
        last = close.iloc[i - 19 : i + 1]
        _ = (last.iloc[-1] - last.mean()) / last.std()

    def regime(i: int) -> None:
        volatility = close.iloc[i - 271 : i + 1].pct_change().rolling(20).std()
        _ = volatility.quantile([0.33, 0.67])

    yield "technical.rsi", each(rsi, 300, 500)
    yield "technical.atr", each(atr, 300, 500)
    yield "statistical.momentum", each(lambda i: close.iloc[i - 20 : i + 1].pct_change(20), 300, 500)
    yield "statistical.mean_reversion", each(score, 300, 500)
    yield "statistical.z_score", each(score, 300, 500)
    yield "statistical.volatility_regime", each(regime, 300, 500)


def in_their_own(bars: pd.DataFrame) -> Iterator[tuple[str, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nolds
    close = bars["close"].to_numpy()
    returns = np.diff(np.log(close))
    named = feature_registry.create("automated.tsfresh", features=["mean"])
    sets = {
        name: feature_registry.create("automated.tsfresh", feature_set=name) for name in ("efficient", "comprehensive")
    }

    yield (
        "statistical.hurst_exponent",
        each(lambda i: nolds.hurst_rs(returns[i - 100 : i], nvals=[8, 16, 32], fit="poly"), 300, 400),
    )
    yield "automated.tsfresh", each(_minimal(close), 300, 320)
    for name, feature in {"one named": named, **sets}.items():
        yield f"automated.tsfresh {name}", each(lambda i, f=feature: f._extraction(close[i - 50 : i]), 300, 310)  # type: ignore[misc]


def _minimal(close: Closes) -> Callable[[int], object]:
    from tsfresh import extract_features
    from tsfresh.feature_extraction import MinimalFCParameters

    def extract(i: int) -> object:
        frame = pd.DataFrame({"id": 0, "close": close[i - 50 : i]})
        return extract_features(
            frame, column_id="id", default_fc_parameters=MinimalFCParameters(), n_jobs=0, disable_progressbar=True
        )

    return extract


def starts(folder: Path) -> tuple[float, float, float]:
    """A worker's start with all of them and `signal.long_short`: cold, warm, and a bare consumer's part of it."""
    strategy = {
        "interval": "1m",
        "features": [*KEYS, "news.finbert_sentiment", "news.sentiment_momentum", "news.sentiment_divergence"],
        "prediction": "mean_reversion",
        "signal": {"key": "signal.long_short", "scaling": "zscore"},
    }
    with TansuBroker() as broker:
        kafka = {"bootstrap": broker.bootstrap, "prefix": "all.", "session_timeout": 6.0}
        path = folder / "all.yaml"
        path.write_text(yaml.safe_dump({"kafka": kafka, "worker": {"http": False}, "strategies": {"demo": strategy}}))
        config = load_config(path)
        asyncio.run(create_topics(config.kafka))
        cold, *warm = [start(path) for _ in range(4)]
        joins = [asyncio.run(join(config, f"bare{number}")) for number in range(3)]
    return cold, statistics.median(warm), statistics.median(joins)


def main(_engine: str = "tansu") -> None:
    bars = generated_bars(SYMBOLS, EACH)
    one = generated_bars(1, FEW)
    features = {key: streaming(feature_registry.create(key)) for key in KEYS}
    ours = {key: compiled(feature, bars) for key, feature in features.items()}
    talipp, pandas, own = dict(in_talipp(one)), dict(in_pandas(one)), dict(in_their_own(one))
    print(f"{'features, µs a bar':<38} {'compiled':>9} {'talipp':>9} {'pandas':>9} {'own':>9} {'state, B':>9}")
    for key in KEYS:
        others = "".join(
            f" {times[key] * 1e6:9,.1f}" if key in times else f" {'':9}" for times in (talipp, pandas, own)
        )
        print(f"{key:<38} {ours[key] * 1e6:9.4f}{others} {features[key].state_dtype.itemsize:9,}")
    for key, seconds in own.items():
        if key not in KEYS:
            print(f"{key:<38} {'':9} {'':9} {'':9} {seconds * 1e6:9,.1f}")
    sizes = Sizes(scaling="zscore", window=60, volatility=1.0)
    print(
        f"{'signal.long_short, zscore':<38} {compiled(sizes, bars) * 1e6:9.4f} {'':29} {sizes.state_dtype.itemsize:9,}"
    )
    six = sum(ours[key] for key in SIX)
    print(f"{'six together':<38} {six * 1e6:9.4f}")
    with tempfile.TemporaryDirectory() as folder:
        cold, warm, bare = starts(Path(folder))
    print(f"worker with all of them, s: first {cold:.2f}, warm {warm:.2f}, of which a bare consumer's join {bare:.2f}")


if __name__ == "__main__":
    main()
