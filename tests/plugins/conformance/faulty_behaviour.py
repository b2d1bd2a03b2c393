"""Features that raise, hang, crash, return what is no use, or reach for what is not theirs."""

import os
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from plugins.fold import FoldFeature
from tests.plugins.conformance.table import OneColumn, faulty

PRICES = Path(tempfile.gettempdir()) / f"conformance_prices_{os.getuid()}.csv"


@faulty("computes")
class Raises(OneColumn):
    def value(self, data):
        return data["adj_close"]


@faulty("computes")
class Hangs(OneColumn):
    def value(self, data):
        while True:
            pass


@faulty("computes")
class Sleeps(OneColumn):
    def value(self, data):
        time.sleep(3600)


@faulty("computes")
class EndsTheProcess(OneColumn):
    def value(self, data):
        os._exit(3)


@faulty("computes")
class Exits(OneColumn):
    def value(self, data):
        raise SystemExit("no licence")


@faulty("computes")
class ReturnsSeries(OneColumn):
    def compute(self, data):
        return data["close"].rolling(5).mean()


@faulty("computes")
class ReturnsNothing(OneColumn):
    def compute(self, data):
        data.assign(value=1.0)


@faulty("shape")
class DropsRows(OneColumn):
    def compute(self, data):
        return data[["close"]].rolling(5).mean().dropna()


@faulty("shape")
class LastRowOnly(OneColumn):
    def compute(self, data):
        return data[["close"]].tail(1)


@faulty("shape")
class OwnIndex(OneColumn):
    def compute(self, data):
        return data[["close"]].reset_index(drop=True)


@faulty("shape")
class Backwards(OneColumn):
    def compute(self, data):
        return data[["close"]].sort_index(ascending=False)


@faulty("shape")
class TwiceOneName(OneColumn):
    def compute(self, data):
        return pd.concat([data["close"].rolling(5).mean(), data["close"].rolling(9).mean()], axis=1)


@faulty("shape")
class NumberedColumns(OneColumn):
    def compute(self, data):
        return pd.DataFrame(data[["open", "close"]].to_numpy(), data.index)


@faulty("dtypes")
class Objects(OneColumn):
    def value(self, data):
        return pd.Series([None if i < 5 else f"{v:.2f}" for i, v in enumerate(data["close"])], data.index, dtype=object)


@faulty("dtypes")
class Labels(OneColumn):
    def value(self, data):
        return np.where(data["close"] > data["open"], "up", "down")


@faulty("dtypes")
class Complex(OneColumn):
    def value(self, data):
        return np.sqrt((data["close"] - data["open"]).to_numpy().astype(complex))


@faulty("dtypes")
class Times(OneColumn):
    def value(self, data):
        return data.index


@faulty("input_untouched")
class WritesColumn(OneColumn):
    def value(self, data):
        data["value"] = data["close"].rolling(5).mean()
        return data["value"]


@faulty("input_untouched")
class WritesCells(OneColumn):
    def value(self, data):
        data.loc[data.index[:3], "close"] = 0.0
        return data["close"].rolling(5).mean()


@faulty("input_untouched")
class SortsInPlace(OneColumn):
    def value(self, data):
        data.sort_values("close", inplace=True)
        return data["close"].sort_index().rolling(5).mean()


@faulty("input_untouched")
class ReplacesIndex(OneColumn):
    def compute(self, data):
        index = data.index
        data.index = range(len(data))
        return pd.DataFrame({"value": data["close"].rolling(5).mean().to_numpy()}, index)


@faulty("repeatable")
class Noisy(OneColumn):
    def value(self, data):
        return data["close"] + np.random.normal(0.0, 0.01, len(data))


@faulty("repeatable")
class OrderOfASet(OneColumn):
    """Adds up in the order of a set of strings, which differs from process to process."""

    def value(self, data):
        weight = 1.0
        total = data["close"] * 0.0
        for name in {"open", "high", "low", "close"}:
            total += weight * data[name]
            weight /= 2.0
        return total


@faulty("repeatable")
class HashOfAName(OneColumn):
    def value(self, data):
        return data["close"] * (hash("close") % 7)


@faulty("reads_its_input_alone")
class ReadsAFile(OneColumn):
    """Tomorrow's prices from a file, by date."""

    def value(self, data):
        PRICES.write_text("time,close\n2012-09-05,1.0\n")
        table = pd.read_csv(PRICES)
        return data["close"] * 0.0 + table["close"].iloc[0]


@faulty("reads_its_input_alone")
class AsksTheNetwork(OneColumn):
    def value(self, data):
        try:
            urllib.request.urlopen("http://127.0.0.1:9/rates", timeout=1)
        except OSError:
            return data["close"]
        return data["close"]


@faulty("reads_its_input_alone")
class RunsAProgram(OneColumn):
    def value(self, data):
        subprocess.run(["true"], check=True)
        return data["close"]


@faulty("reads_its_input_alone")
class ReadsTheClock(OneColumn):
    def value(self, data):
        age = datetime.now().year - data.index.year
        return age.to_numpy(dtype=float)


@faulty("edge_cases")
class NeedsBars(OneColumn):
    """Fails on no bar at all."""

    lookback = 1

    def value(self, data):
        return np.full(len(data), 0.0) + data["close"].iloc[0] * 0.0 + data["close"]


@faulty("edge_cases")
class Infinite(OneColumn):
    lookback = 2

    def value(self, data):
        return data["close"] / data["volume"]


@faulty("edge_cases")
class ChangeOfVolume(OneColumn):
    """Right while every bar has a volume, and where none has (0/0); infinite after one bar without."""

    lookback = 2

    def value(self, data):
        return data["volume"].pct_change(fill_method=None)


@faulty("edge_cases")
class InfiniteState(FoldFeature):
    """What is infinite once stays in the exponential mean: NaN for ever."""

    outputs = ("value",)
    reads = ("volume",)
    warmup = 1

    def state(self):
        return [("count", "i8"), ("volume", "f8"), ("mean", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            change = bar.volume / state.volume - 1.0 if bar.volume + state.volume > 0.0 else 0.0
            state.mean += 0.2 * (change - state.mean)
            out.value = state.mean
        state.count += 1
        state.volume = bar.volume


@faulty("edge_cases")
class OtherColumnsWhenFlat(OneColumn):
    def compute(self, data):
        found = pd.DataFrame({"mean": data["close"].rolling(5).mean()}, index=data.index)
        if len(data) > 50 and data["close"].nunique() < 5:
            found["flat"] = 1.0
        return found
