"""A peer of the worker, in its own environment: Quix Streams with talipp's indicators and LightGBM, until it is ended.

peer_quix.py BOOTSTRAP BARS OUTPUT MODEL
"""

import sys
from collections import defaultdict

import lightgbm
import numpy as np
from quixstreams import Application
from talipp.indicators import ATR, BB, ROC, RSI
from talipp.ohlcv import OHLCV


class Symbol:
    """The four indicators of one symbol."""

    def __init__(self) -> None:
        self.rsi, self.atr, self.momentum, self.bands = RSI(14), ATR(14), ROC(20), BB(20, 1.0)

    def add(self, bar: dict) -> list[float]:
        close = bar["close"]
        self.atr.add(OHLCV(bar["open"], bar["high"], bar["low"], close, bar["volume"], None))
        for indicator in (self.rsi, self.momentum, self.bands):
            indicator.add(close)
        for indicator in (self.rsi, self.atr, self.momentum, self.bands):
            indicator.purge_oldest(max(0, len(indicator) - 50))
        band, nan = self.bands[-1], float("nan")
        score = (close - band.cb) / (band.ub - band.cb) if band and band.ub > band.cb else nan
        return [nan if value is None else value for value in (self.rsi[-1], self.atr[-1], self.momentum[-1], score)]


def main(bootstrap: str, source: str, output: str, model: str) -> None:
    app = Application(
        bootstrap, consumer_group=f"{source}-quix", auto_offset_reset="earliest", loglevel="WARNING",
        processing_guarantee="exactly-once", auto_create_topics=False, use_changelog_topics=False,
    )  # fmt: skip
    booster, symbols = lightgbm.Booster(model_file=model), defaultdict(Symbol)

    def decide(bar: dict) -> dict:
        row = symbols[bar["symbol"]].add(bar)
        value = float(booster.predict(np.array([row]), num_threads=1)[0]) if row[0] == row[0] else None
        signal = "HOLD" if value is None or abs(value) <= 0.0005 else "BUY" if value > 0 else "SELL"
        return {"symbol": bar["symbol"], "time": bar["close_time"], "signal": signal, "prediction": value}

    bars = app.dataframe(app.topic(source, value_deserializer="json"))
    bars.apply(decide).to_topic(app.topic(output, value_serializer="json"))
    app.run()


main(*sys.argv[1:])
