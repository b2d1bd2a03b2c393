"""Features that are right, some of them only at a second look."""

from functools import cache
from typing import Any

import numba
import numpy as np
import pandas as pd
import talib
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from talipp.indicators import EMA, SMA

from plugins.fold import FeatureParams
from tests.plugins.conformance.table import OneColumn, clean


@clean
class Mean(OneColumn):
    outputs = ("value",)

    def value(self, data):
        return data["close"].rolling(20).mean()


@clean
class FewAreEnough(OneColumn):
    """A window with min_periods: values from the fifth bar on."""

    def value(self, data):
        return data["close"].rolling(20, min_periods=5).mean()


@clean
class LaggedQuantile(OneColumn):
    """Whether the close is above the 90% quantile of the fifty closes before it."""

    lookback = 51

    def value(self, data):
        return (data["close"] > data["close"].rolling(50).quantile(0.9).shift(1)).astype(float)


@clean
class RollingRank(OneColumn):
    def value(self, data):
        return data["close"].rolling(20).rank(pct=True)


@clean
class Change(OneColumn):
    lookback = 6

    def value(self, data):
        return data["close"].pct_change(5)


@clean
class LogReturn(OneColumn):
    lookback = 2

    def value(self, data):
        return np.log(data["close"]).diff()


@clean
class Bollinger(OneColumn):
    outputs = ("lower", "middle", "upper")

    def compute(self, data):
        window = data["close"].rolling(20)
        mean, deviation = window.mean(), window.std()
        return pd.DataFrame({"lower": mean - 2 * deviation, "middle": mean, "upper": mean + 2 * deviation})


@clean
class ZScore(OneColumn):
    def value(self, data):
        window = data["close"].rolling(20)
        return (data["close"] - window.mean()) / window.std().where(lambda x: x > 1e-8)


@clean
class VolumeSurprise(OneColumn):
    def value(self, data):
        return data["volume"] / data["volume"].rolling(20).mean()


@clean
class SafeRatio(OneColumn):
    lookback = 2

    def value(self, data):
        return (data["volume"] / data["volume"].shift(1)).replace([np.inf, -np.inf], np.nan)


@clean
class TalibMean(OneColumn):
    lookback = 30

    def value(self, data):
        return talib.SMA(data["close"].to_numpy(), 30)


@clean
class TalibRsi(OneColumn):
    """Remembers for ever, but no more than 1e-9 of it after 400 bars."""

    lookback = 400

    def value(self, data):
        return talib.RSI(data["close"].to_numpy(), 14)


@clean
class TalibAtr(OneColumn):
    lookback = 400

    def value(self, data):
        return talib.ATR(*(data[name].to_numpy() for name in ("high", "low", "close")), 14)


@clean
class TalibMacd(OneColumn):
    lookback = 450

    def compute(self, data):
        macd, signal, histogram = talib.MACD(data["close"].to_numpy())
        return pd.DataFrame({"macd": macd, "signal": signal, "histogram": histogram}, data.index)


@clean
class TalibWilliams(OneColumn):
    lookback = 14

    def value(self, data):
        return talib.WILLR(*(data[name].to_numpy() for name in ("high", "low", "close")), 14)


@clean
class TalibRegression(OneColumn):
    lookback = 14

    def value(self, data):
        return talib.LINEARREG_SLOPE(data["close"].to_numpy(), 14)


@clean
class TalippMean(OneColumn):
    lookback = 10

    def value(self, data):
        return np.array(list(SMA(10, data["close"].tolist())), dtype=float)


@clean
class TalippExponential(OneColumn):
    lookback = 250

    def value(self, data):
        return np.array(list(EMA(12, data["close"].tolist())), dtype=float)


@clean
class Exponential(OneColumn):
    """An exponential mean over long enough a window."""

    lookback = 250

    def value(self, data):
        return data["close"].ewm(span=12).mean()


@clean
class Donchian(OneColumn):
    """The channel of the bars before this one."""

    lookback = 21

    def value(self, data):
        return (data["close"] - data["low"].rolling(20).min().shift(1)) / data["close"]


@clean
class SignedVolume(OneColumn):
    lookback = 21

    def value(self, data):
        return (np.sign(data["close"].diff()) * data["volume"]).rolling(20).sum()


@clean
class Correlation(OneColumn):
    """Of prices and volumes; NaN where nothing varies."""

    def value(self, data):
        found = data["close"].rolling(20).corr(data["volume"])
        return found.where(found.abs() <= 1.0)


@clean
class TrueRange(OneColumn):
    lookback = 2

    def value(self, data):
        before = data["close"].shift(1)
        return np.maximum(data["high"], before) - np.minimum(data["low"], before)


@clean
class Slope(OneColumn):
    """scikit-learn, fitted on each trailing window."""

    lookback = 8

    def value(self, data):
        steps = np.arange(8.0).reshape(-1, 1)
        fit = lambda window: LinearRegression().fit(steps, window).coef_[0]  # noqa: E731
        return data["close"].rolling(8).apply(fit, raw=True)


@clean
class TrailingScaler(OneColumn):
    """A scaler fitted on the twenty bars up to this one."""

    def value(self, data):
        closes = data["close"].to_numpy()
        scaled = np.full(len(closes), np.nan)
        for row in range(19, len(closes)):
            window = closes[row - 19 : row + 1].reshape(-1, 1)
            if np.isfinite(window).all():
                scaled[row] = StandardScaler().fit(window).transform(window[-1:])[0, 0]
        return scaled


@clean
class TsfreshEnergy(OneColumn):
    def value(self, data):
        from tsfresh.feature_extraction import feature_calculators  # it imports for seconds

        return data["close"].rolling(20).apply(feature_calculators.abs_energy, raw=True)


@clean
class TsfreshComplexity(OneColumn):
    def value(self, data):
        from tsfresh.feature_extraction import feature_calculators

        return data["close"].rolling(20).apply(lambda w: feature_calculators.cid_ce(w, False), raw=True)


@clean
class Hour(OneColumn):
    lookback = 1

    def value(self, data):
        return data.index.hour.to_numpy()


@clean
class Weekdays(OneColumn):
    """One-hot, with all columns always there."""

    lookback = 1

    def compute(self, data):
        return pd.DataFrame(
            {f"weekday_{day}": (data.index.dayofweek == day).astype(float) for day in range(5)}, data.index
        )


@clean
class UpBar(OneColumn):
    lookback = 1

    def value(self, data):
        return (data["close"] > data["open"]).astype(int)


@clean
class OutsideBar(OneColumn):
    """Booleans are numbers too."""

    lookback = 2

    def value(self, data):
        return (data["high"] > data["high"].shift(1)) & (data["low"] < data["low"].shift(1))


@clean
class SingleFloats(OneColumn):
    lookback = 1

    def value(self, data):
        return ((data["high"] - data["low"]) / data["close"]).astype("float32")


@clean
class VolumeWeighted(OneColumn):
    def value(self, data):
        typical = data[["high", "low", "close"]].mean(axis=1)
        volume = data["volume"].rolling(20).sum()
        return (typical * data["volume"]).rolling(20).sum() / volume.where(volume > 0)


@clean
class SessionRange(OneColumn):
    """How far the close is from the day's open so far: a groupby by day that looks back only.

    A day may have 1440 minutes.
    """

    lookback = 1440

    def value(self, data):
        return data["close"] / data["open"].groupby(data.index.date).transform("first") - 1.0


@clean
class Drawdown(OneColumn):
    lookback = 60

    def value(self, data):
        return data["close"] / data["close"].rolling(60, min_periods=1).max() - 1.0


@clean
class MedianOfWindows(OneColumn):
    def value(self, data):
        found = np.full(len(data), np.nan)
        if len(data) >= 20:
            found[19:] = np.median(sliding_window_view(data["close"].to_numpy(), 20), axis=1)
        return found


@numba.njit
def _longest_rise(closes: Any) -> Any:
    found = np.full(len(closes), np.nan)
    for row in range(19, len(closes)):
        longest = current = 0
        for i in range(row - 18, row + 1):
            current = current + 1 if closes[i] > closes[i - 1] else 0
            longest = max(longest, current)
        found[row] = longest
    return found


@clean
class LongestRise(OneColumn):
    """A loop compiled by numba."""

    def value(self, data):
        return _longest_rise(data["close"].to_numpy())


@clean
class BarsSinceHigh(OneColumn):
    def value(self, data):
        return data["high"].rolling(20).apply(lambda window: 19 - int(np.argmax(window)), raw=True)


@clean
class LabelledLate(OneColumn):
    """Five-minute bins, labelled by their end and used only after it."""

    lookback = 60

    def value(self, data):
        bins = data["close"].resample("5min", label="right", closed="right").last()
        known = bins.reindex(data.index, method="ffill")
        return known * 0.0


@clean
class Configurable(OneColumn):
    """Its lookback follows from a parameter."""

    class Params(FeatureParams):
        window: int = Field(15, ge=2)

    @property
    def lookback(self):
        return self.params["window"] + 1

    def value(self, data):
        return data["close"].pct_change().rolling(self.params["window"]).std()


@clean
class PlainDictionary(OneColumn):
    """Without Params: any parameter goes."""

    def value(self, data):
        return data["close"].rolling(self.params.get("window", 10)).mean()


@cache
def _weights(length: int) -> Any:
    return np.arange(1.0, length + 1.0) / (length * (length + 1) / 2)


@clean
class LinearlyWeighted(OneColumn):
    """Weights from a cached function: what is kept never changes."""

    def value(self, data):
        return data["close"].rolling(10).apply(lambda window: float((window * _weights(10)).sum()), raw=True)


@clean
class SeededProjection(OneColumn):
    """Random weights, but the same each time."""

    lookback = 5

    def value(self, data):
        weights = np.random.default_rng(7).normal(size=5)
        return sum(weight * data["close"].shift(lag) for lag, weight in enumerate(weights))


@clean
class SortedNames(OneColumn):
    """A set, gone through in order."""

    lookback = 1

    def value(self, data):
        total = data["close"] * 0.0
        for number, name in enumerate(sorted({"open", "high", "low", "close"})):
            total = total + data[name] / (number + 1)
        return total


@clean
class OnOwnCopy(OneColumn):
    """Writes, but to a copy."""

    def value(self, data):
        own = data.copy()
        own["spread"] = own["high"] - own["low"]
        return own["spread"].rolling(10).mean()


@clean
class Fractional(OneColumn):
    """A convolution, as signal processing writes it."""

    lookback = 8

    def value(self, data):
        weights = np.cumprod([1.0] + [(k - 1.4) / k for k in range(1, 8)])
        found = np.full(len(data), np.nan)
        if len(data) >= 8:
            found[7:] = np.convolve(data["close"].to_numpy(), weights, "valid")
        return found


@clean
class ReferenceFilledFromBefore(OneColumn):
    """Where the reference has no bar, the last one that it had, of the five before: never a later one."""

    requires = ("with.close",)
    lookback = 6

    def value(self, data):
        return data["with.close"].ffill(limit=5) - 0.5
