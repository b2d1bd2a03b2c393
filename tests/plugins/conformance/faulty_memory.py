"""Features that declare too little, remember too much, or are something else live than in a batch."""

import numpy as np
import pandas as pd
import talib
from pydantic import BaseModel, Field

from plugins.base import Params
from plugins.base.streaming import over_frame
from plugins.fold import FeatureParams, FoldFeature
from tests.plugins.conformance.table import OneColumn, faulty

SEEN: dict[int, float] = {}


@faulty("lookback")
class TooShort(OneColumn):
    lookback = 20

    def value(self, data):
        return data["close"].rolling(30).mean()


@faulty("lookback")
class OneTooShort(OneColumn):
    lookback = 20

    def value(self, data):
        return data["close"].pct_change(20)


@faulty("lookback")
class Undeclared(OneColumn):
    lookback = None

    def value(self, data):
        return data["close"].rolling(12).std()


@faulty("lookback")
class ExpandingMean(OneColumn):
    lookback = 50

    def value(self, data):
        return data["close"].expanding().mean()


@faulty("lookback")
class OnBalanceVolume(OneColumn):
    def value(self, data):
        return (np.sign(data["close"].diff()).fillna(0.0) * data["volume"]).cumsum()


@faulty("lookback")
class ShortExponential(OneColumn):
    lookback = 40

    def value(self, data):
        return data["close"].ewm(span=20).mean()


@faulty("lookback")
class TalibRsiShort(OneColumn):
    lookback = 15

    def value(self, data):
        return talib.RSI(data["close"].to_numpy(), 14)


@faulty("lookback")
class AllTimeHigh(OneColumn):
    lookback = 100

    def value(self, data):
        return data["close"] / data["close"].cummax()


@faulty("lookback")
class BarsSinceStart(OneColumn):
    lookback = 10

    def value(self, data):
        return np.arange(len(data), dtype=float)


@faulty("symbols")
class RemembersLastClose(OneColumn):
    """The first row is compared with the last of the frame before."""

    lookback = 2

    def value(self, data):
        before = data["close"].shift(1)
        if len(data):
            before.iloc[0] = getattr(self, "last", np.nan)
            self.last = data["close"].iloc[-1]
        return data["close"] - before


@faulty("symbols")
class FittedOnce(OneColumn):
    """Keeps the first mean that it sees for all that come later, if it saw enough."""

    def value(self, data):
        if not hasattr(self, "mean") and len(data) >= 300:
            self.mean = float(data["close"].iloc[:20].mean())
        return data["close"].rolling(3).mean() - getattr(self, "mean", 0.0)


@faulty("shared_state")
class CountsOnTheClass(OneColumn):
    calls = 0

    def value(self, data):
        type(self).calls += 1
        return data["close"].rolling(5).mean()


@faulty("shared_state")
class CachesInTheModule(OneColumn):
    def value(self, data):
        if len(data):
            SEEN[hash(data["close"].iloc[-1])] = 1.0
        return data["close"].rolling(5).mean()


@faulty("state_size")
class KeepsHistory(OneColumn):
    def value(self, data):
        self.history = [*getattr(self, "history", []), *data["close"].tolist()]
        return data["close"].rolling(5).mean()


class Two(FoldFeature):
    """The mean of this close and the one before."""

    outputs = ("value",)
    reads = ("close",)

    def state(self):
        return [("count", "i8"), ("close", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            out.value = 0.5 * (state.close + bar.close)
        state.count += 1
        state.close = bar.close


@faulty("batch_equals_live")
class OtherInBatch(Two):
    """Vectorised for batches, with other low bits."""

    def compute(self, data):
        return pd.DataFrame({"value": data["close"].rolling(2).mean() * (1.0 + 1e-15)})


@faulty("batch_equals_live")
class RoundedInBatch(Two):
    def compute(self, data):
        return over_frame(self, data).round(6)


@faulty("batch_equals_live")
class CompiledOtherwise(Two):
    """numba's power has other last bits than Python's."""

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            out.value = (bar.close / state.close) ** 7
        state.count += 1
        state.close = bar.close


@faulty("restart")
class CountsOnTheInstance(Two):
    """Adds the number of the bar, which it counts outside of the state."""

    bars = 0

    def run(self, states, slots, bars, outs):
        self.prepare()
        super().run(states, slots, bars, outs)
        outs[:, 0] += self.bars + np.arange(len(bars))
        self.bars += len(bars)


@faulty("columns_read")
class ReadsMore(Two):
    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            out.value = bar.close * bar.volume
        state.count += 1


@faulty("warm_up")
class LaterThanDeclared(Two):
    warmup = 0


@faulty("warm_up")
class EarlierThanDeclared(Two):
    warmup = 20


@faulty("state_size")
class HugeState(Two):
    def state(self):
        return [("count", "i8"), ("close", "f8"), ("ring", "f8", (100_000,))]


@faulty("missing_values")
class FillsHoles(Two):
    """Fills holes forward, so that a bar without prices gets a value."""

    def compute(self, data):
        return over_frame(self, data.ffill())


@faulty("outputs")
class OtherNames(OneColumn):
    outputs = ("mean",)

    def value(self, data):
        return data["close"].rolling(5).mean()


@faulty("outputs")
class OtherOrder(OneColumn):
    outputs = ("high", "low")

    def compute(self, data):
        return pd.DataFrame({"low": data["low"].rolling(20).min(), "high": data["high"].rolling(20).max()})


@faulty("columns_read")
class AllColumns(OneColumn):
    def value(self, data):
        return data.mean(axis=1)


@faulty("columns_read")
class LastColumn(OneColumn):
    def value(self, data):
        return data.iloc[:, -1].rolling(5).mean()


@faulty("parameters")
class Unlimited(OneColumn):
    """Minus one is a window."""

    class Params(Params):
        window: int = 20

    def value(self, data):
        return data["close"].shift(self.params["window"])


@faulty("parameters")
class Ignored(OneColumn):
    """What is mistyped is ignored."""

    class Params(BaseModel):
        window: int = Field(20, ge=2)

    def value(self, data):
        return data["close"].rolling(self.params["window"]).mean()


@faulty("parameters")
class Unnamed(OneColumn):
    """Refuses, but does not say what."""

    class Params(FeatureParams):
        window: int = Field(20, ge=2)

    def __init__(self, **params):
        try:
            super().__init__(**params)
        except Exception:
            raise ValueError("bad configuration") from None

    def value(self, data):
        return data["close"].rolling(self.params["window"]).mean()


@faulty("speed")
class SlowerThanItSays(OneColumn):
    cost = "compiled"

    def value(self, data):
        return data["close"].rolling(20).apply(lambda window: float(np.mean(window)))
