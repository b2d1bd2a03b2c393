"""Sequence models, clean and faulty."""
# ruff: noqa: N803  (X is what the base class calls it)

import numpy as np
import pandas as pd

from plugins.fold.sequence import SequenceModel
from tests.plugins.conformance.models import Linear
from tests.plugins.conformance.table import clean, faulty


class Windowed(Linear, SequenceModel):
    """The mean of the linear predictions of a symbol's last three rows."""

    lookback = 3

    def predict(self, X):
        self.check(X)
        return SequenceModel.predict(self, X)

    def forward(self, windows, columns):
        self.check(pd.DataFrame(columns=columns))
        total = np.full(len(windows), self.coefficients[0])
        for row in range(windows.shape[1]):
            for column, coefficient in enumerate(self.coefficients[1:]):
                total += coefficient * windows[:, row, column] / 3.0
        return total


@clean
class InWindows(Windowed):
    """Its `forward` gives a window the same bits in any batch."""


@clean
class OneWindowAtATime(Windowed):
    """A matrix product, which does not claim to be the same in any batch: it is never given one."""

    batch_invariant = False

    def forward(self, windows, columns):
        self.check(pd.DataFrame(columns=columns))
        return self.coefficients[0] + windows.mean(axis=1) @ np.array(self.coefficients[1:])


class OverTheFrame(Linear):
    """As a user writes it, over a frame; a subclass says of which rows a prediction is made."""

    lookback = 3
    batch_invariant = False

    def predict(self, X):
        single = super().predict(X)
        return pd.Series(self.over(single).to_numpy(), X.index)

    def over(self, single):
        return single.groupby(level=0).transform(lambda rows: rows.shift(0) + rows.shift(1) + rows.shift(2))


@clean
class ByTransform(OverTheFrame):
    pass


@faulty("symbols")
class MixesSymbols(OverTheFrame):
    """Its window goes over the rows of the frame, whoever they belong to."""

    def over(self, single):
        return single + single.shift(1) + single.shift(2)


@faulty("no_look_ahead")
class CentredWindow(OverTheFrame):
    """Row t uses row t + 1, where there is one."""

    def over(self, single):
        return single.groupby(level=0).transform(lambda rows: rows + rows.shift(2) + rows.shift(-1).fillna(0.0))


@faulty("no_look_ahead")
class ScaledByTheFrame(OverTheFrame):
    """Scaled by the mean of the frame that it is given: of the future, and of the batch."""

    def over(self, single):
        return super().over(single) - single.mean()


@faulty("lookback")
class LooksFurtherBack(OverTheFrame):
    """An exponential mean never forgets."""

    def over(self, single):
        faded = single.groupby(level=0).transform(lambda rows: rows.ewm(span=5).mean())
        return faded.where(single.groupby(level=0).cumcount() >= 2)


@faulty("lookback")
class GuessesAtFirst(OverTheFrame):
    """Makes do with fewer rows at a symbol's beginning."""

    def over(self, single):
        return single.groupby(level=0).transform(lambda rows: rows.rolling(3, min_periods=1).mean())


@faulty("batch_equals_live")
class BatchDependent(Windowed):
    """A matrix product over the batch, said to be the same in any."""

    def forward(self, windows, columns):
        self.check(pd.DataFrame(columns=columns))
        flat = windows.reshape(len(windows), -1) @ np.tile(np.array(self.coefficients[1:]), 3)
        return self.coefficients[0] + flat / 3.0


@faulty("batch_equals_live")
class WindowsTheOtherWayRound(Windowed):
    """Takes the newest row for the oldest one, where a worker gives it windows."""

    weights = (0.2, 0.3, 0.5)

    def predict(self, X):
        self.check(X)
        single = Linear.predict(self, X).groupby(level=0)
        return single.shift(2) * self.weights[0] + single.shift(1) * self.weights[1] + single.shift(0) * self.weights[2]

    def forward(self, windows, columns):
        total = np.zeros(len(windows))
        for age, weight in enumerate(self.weights):
            frame = pd.DataFrame(windows[:, 2 - age], columns=columns)
            total += weight * Linear.predict(self, frame).to_numpy()
        return total
