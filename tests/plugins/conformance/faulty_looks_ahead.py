"""Features that see the future, in the ways in which people do it."""

import numpy as np
import pandas as pd
import scipy.signal
import talib
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, QuantileTransformer, StandardScaler

from tests.plugins.conformance.table import OneColumn, faulty

AHEAD = faulty("no_look_ahead")


@AHEAD
class Demeaned(OneColumn):
    def value(self, data):
        return data["close"] - data["close"].mean()


@AHEAD
class GlobalZScore(OneColumn):
    def value(self, data):
        return (data["close"] - data["close"].mean()) / data["close"].std()


@AHEAD
class GlobalMinMax(OneColumn):
    def value(self, data):
        close = data["close"]
        return (close - close.min()) / (close.max() - close.min())


@AHEAD
class GlobalQuantile(OneColumn):
    def value(self, data):
        return (data["volume"] > data["volume"].quantile(0.9)).astype(float)


@AHEAD
class GlobalRank(OneColumn):
    def value(self, data):
        return data["close"].rank(pct=True)


@AHEAD
class BackFilled(OneColumn):
    def value(self, data):
        return data["close"].rolling(20).mean().bfill()


@AHEAD
class Centred(OneColumn):
    def value(self, data):
        return data["close"].rolling(5, center=True).mean()


@AHEAD
class NextReturn(OneColumn):
    def value(self, data):
        return data["close"].shift(-1) / data["close"] - 1.0


@AHEAD
class BackwardChange(OneColumn):
    def value(self, data):
        return data["close"].pct_change(-3)


@AHEAD
class BackwardDiff(OneColumn):
    def value(self, data):
        return -data["close"].diff(-1)


@AHEAD
class CentralGradient(OneColumn):
    def value(self, data):
        return np.gradient(data["close"]) if len(data) > 1 else np.nan


@AHEAD
class Interpolated(OneColumn):
    def value(self, data):
        close = data["close"].copy()
        close[close.diff().abs() > 0.02 * close] = np.nan
        return close.interpolate()


@AHEAD
class LabelledEarly(OneColumn):
    """Bins carry the time of their beginning, and are filled forward from there."""

    def value(self, data):
        return data["close"].resample("5min").mean().reindex(data.index, method="ffill")


@AHEAD
class DayHigh(OneColumn):
    """The high of the whole day, at its first minute."""

    def value(self, data):
        return data["high"].groupby(data.index.date).transform("max") / data["close"]


@AHEAD
class Standardised(OneColumn):
    def value(self, data):
        return StandardScaler().fit_transform(data[["close"]])[:, 0]


@AHEAD
class MinMaxScaled(OneColumn):
    def value(self, data):
        return MinMaxScaler().fit_transform(data[["volume"]])[:, 0]


@AHEAD
class PrincipalComponent(OneColumn):
    def value(self, data):
        return PCA(1, random_state=0).fit_transform(data[["open", "high", "low", "close"]])[:, 0]


@AHEAD
class QuantileScaled(OneColumn):
    def value(self, data):
        return QuantileTransformer(n_quantiles=20, random_state=0).fit_transform(data[["close"]])[:, 0]


@AHEAD
class Binned(OneColumn):
    def value(self, data):
        binner = KBinsDiscretizer(4, encode="ordinal", strategy="quantile", quantile_method="linear")
        return binner.fit_transform(data[["close"]])[:, 0]


@AHEAD
class Clustered(OneColumn):
    def value(self, data):
        rows = np.column_stack([data["high"] - data["low"], data["volume"]])
        return KMeans(3, n_init=1, random_state=0).fit_predict(rows).astype(float)


@AHEAD
class Trend(OneColumn):
    def value(self, data):
        steps = np.arange(len(data)).reshape(-1, 1)
        return LinearRegression().fit(steps, data["close"]).predict(steps)


@AHEAD
class Detrended(OneColumn):
    def value(self, data):
        return scipy.signal.detrend(data["close"].to_numpy())


@AHEAD
class Polynomial(OneColumn):
    def value(self, data):
        steps = np.arange(len(data))
        return np.polyval(np.polyfit(steps, data["close"], 2), steps)


@AHEAD
class Deciles(OneColumn):
    def value(self, data):
        return pd.qcut(data["close"], 10, labels=False, duplicates="drop").astype(float)


@AHEAD
class Winsorised(OneColumn):
    def value(self, data):
        returns = data["close"].pct_change()
        return returns.clip(returns.quantile(0.05), returns.quantile(0.95))


@AHEAD
class SavitzkyGolay(OneColumn):
    def value(self, data):
        return scipy.signal.savgol_filter(data["close"].to_numpy(), 5, 2)


@AHEAD
class ZeroPhase(OneColumn):
    def value(self, data):
        return scipy.signal.filtfilt([0.2], [1.0, -0.8], data["close"].to_numpy())


@AHEAD
class FourierLowPass(OneColumn):
    def value(self, data):
        spectrum = np.fft.rfft(data["close"].to_numpy())
        spectrum[10:] = 0.0
        return np.fft.irfft(spectrum, len(data))


@AHEAD
class SortedFirst(OneColumn):
    def value(self, data):
        return data["close"].sort_values().rolling(5).mean().reindex(data.index)


@AHEAD
class Reversed(OneColumn):
    def value(self, data):
        return data["close"][::-1].rolling(10, min_periods=1).max()[::-1]


@AHEAD
class RemainingVolume(OneColumn):
    def value(self, data):
        return data["volume"][::-1].cumsum()[::-1]


@AHEAD
class SwingHigh(OneColumn):
    """A high with lower highs on both sides, marked at its own bar."""

    def value(self, data):
        high = data["high"]
        return ((high > high.shift(1)) & (high > high.shift(-1))).astype(float)


@AHEAD
class Peaks(OneColumn):
    def value(self, data):
        flags = np.zeros(len(data))
        flags[scipy.signal.argrelextrema(data["close"].to_numpy(), np.greater, order=3)[0]] = 1.0
        return flags


@AHEAD
class ChikouSpan(OneColumn):
    def value(self, data):
        return data["close"].shift(-26)


@AHEAD
class CentredPriceOscillator(OneColumn):
    """The detrended price oscillator as charts draw it."""

    def value(self, data):
        return (data["close"] - data["close"].rolling(20).mean()).shift(-11)


@AHEAD
class RelativeToLast(OneColumn):
    def value(self, data):
        return data["close"] / data["close"].iloc[-1]


@AHEAD
class Progress(OneColumn):
    def value(self, data):
        return np.arange(len(data)) / len(data)


@AHEAD
class TalibShifted(OneColumn):
    def value(self, data):
        return pd.Series(talib.ROC(data["close"].to_numpy(), 5), data.index).shift(-5)


@AHEAD
class TsfreshWhole(OneColumn):
    def value(self, data):
        from tsfresh.feature_extraction import feature_calculators  # it imports for seconds

        return feature_calculators.abs_energy(data["close"].pct_change().fillna(0.0))


@AHEAD
class DroppedColumns(OneColumn):
    """Keeps those of its columns that are known throughout the last ten rows."""

    def compute(self, data):
        means = {f"mean_{n}": data["close"].rolling(n).mean() for n in (5, 10, 20)}
        table = pd.DataFrame(means)
        return table.drop(columns=[name for name in table if table[name].tail(10).isna().any()])


@AHEAD
class Dummies(OneColumn):
    def compute(self, data):
        bins = (data["close"] // 5).astype("Int64")
        return pd.get_dummies(bins, prefix="level", dtype=float)


@AHEAD
class MeanFilled(OneColumn):
    def value(self, data):
        change = data["close"].pct_change(5)
        return change.fillna(change.mean())


@AHEAD
class RollingThenScaled(OneColumn):
    """Rolling, as it should be, and then divided by its maximum over all time."""

    def value(self, data):
        volatility = data["close"].pct_change().rolling(10).std()
        return volatility / volatility.max()


@AHEAD
class NextOfTheReference(OneColumn):
    requires = ("with.close",)

    def value(self, data):
        return data["close"].pct_change() - data["with.close"].shift(-1) / data["with.close"] + 1.0


@AHEAD
class ReferenceFilledFromLater(OneColumn):
    """Where the reference has no bar, the next one that it will have."""

    requires = ("with.close",)

    def value(self, data):
        return data["close"] / data["with.close"].bfill()
