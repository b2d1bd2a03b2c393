"""Folds that are right, some of them with a memory without end."""

import math

from pydantic import Field

from plugins.fold import Column, FeatureParams, FoldFeature, column_of
from tests.plugins.conformance.table import clean


class Fold(FoldFeature):
    outputs = ("value",)
    reads = ("close",)


@clean
class ExpandingMean(Fold):
    """The mean of all closes so far."""

    def state(self):
        return [("count", "i8"), ("mean", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        state.count += 1
        state.mean += (bar.close - state.mean) / state.count
        out.value = state.mean


@clean
class StatefulZScore(Fold):
    """Welford's mean and variance of all closes so far."""

    def state(self):
        return [("count", "i8"), ("mean", "f8"), ("squares", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        state.count += 1
        distance = bar.close - state.mean
        state.mean += distance / state.count
        state.squares += distance * (bar.close - state.mean)
        if state.count > 9 and state.squares > 0.0:
            out.value = (bar.close - state.mean) / math.sqrt(state.squares / (state.count - 1))


@clean
class ExponentialMean(Fold):
    class Params(FeatureParams):
        span: int = Field(12, ge=1)
        column: Column = "close"

    @property
    def reads(self):
        return (self.params["column"],)

    def state(self):
        return [("count", "i8"), ("mean", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        value = column_of(bar, params.column)
        state.mean = value if state.count == 0 else state.mean + (value - state.mean) * 2.0 / (params.span + 1.0)
        state.count += 1
        out.value = state.mean


@clean
class Streak(Fold):
    """Closes up in a row, negative for down."""

    def state(self):
        return [("count", "i8"), ("close", "f8"), ("streak", "i8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count > 0:
            if bar.close > state.close:
                state.streak = max(state.streak, 0) + 1
            elif bar.close < state.close:
                state.streak = min(state.streak, 0) - 1
            else:
                state.streak = 0
            out.value = state.streak
        state.count += 1
        state.close = bar.close


@clean
class RingMaximum(Fold):
    """The highest of the last ten highs, and where it was."""

    outputs = ("highest", "age")
    reads = ("high",)

    def state(self):
        return [("count", "i8"), ("ring", "f8", (10,))]

    @staticmethod
    def step(state, bar, params, out):
        state.ring[state.count % 10] = bar.high
        state.count += 1
        if state.count < 10:
            return
        highest, age = state.ring[(state.count - 1) % 10], 0
        for back in range(1, 10):
            value = state.ring[(state.count - 1 - back) % 10]
            if value > highest:
                highest, age = value, back
        out.highest = highest
        out.age = age


@clean
class SessionVolume(Fold):
    """Volume since the day began (UTC), from the bar's own time."""

    reads = ("volume",)

    def state(self):
        return [("day", "i8"), ("total", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        day = (bar.time - 1) // 86_400_000
        if day != state.day:
            state.day = day
            state.total = 0.0
        state.total += bar.volume
        out.value = state.total


@clean
class Kalman(Fold):
    """A local level, filtered."""

    def state(self):
        return [("count", "i8"), ("level", "f8"), ("variance", "f8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count == 0:
            state.level, state.variance = bar.close, 1.0
        state.count += 1
        state.variance += 0.01
        gain = state.variance / (state.variance + 0.5)
        state.level += gain * (bar.close - state.level)
        state.variance *= 1.0 - gain
        out.value = bar.close - state.level


@clean
class CarriedHigh(Fold):
    """Bars since the highest close of all time: what no window can tell."""

    def state(self):
        return [("count", "i8"), ("highest", "f8"), ("since", "i8")]

    @staticmethod
    def step(state, bar, params, out):
        if state.count == 0 or bar.close >= state.highest:
            state.highest, state.since = bar.close, 0
        else:
            state.since += 1
        state.count += 1
        out.value = state.since
