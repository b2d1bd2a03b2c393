"""What a feature declares about how far back it looks, against what it needs: lookback and warm-up."""

import numpy as np
import pandas as pd

from plugins.base import FloatArray
from plugins.base.streaming import StreamingFeature
from plugins.checks.bars import usual
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.compare import CLOSE, difference, distance, names, numbers
from plugins.checks.findings.outcome import Failed, Inapplicable

LONGEST = 1_500
"""Bars to which the search for a lookback goes, for a plugin that is quick enough."""


def lookback(subject: FeatureSubject) -> str:
    """Values over the declared trailing bars were compared with those over the full history, at 1e-9 relative."""
    if subject.fold:
        raise Inapplicable("a fold keeps what it needs in its state")
    declared = subject.lookback
    history = _History(subject, _enough(subject))
    if declared is not None:
        fault = history.fault(declared)
        if fault is None:
            return f"{declared} bars suffice; largest distance {history.largest:.1e}"
        reason = f"over the declared {declared} bars it differs from the full history: {fault}"
    else:
        reason = "it declares no lookback, so a worker refuses to run it"
    needed = history.search(declared or 0)
    if needed is None:
        raise Failed(
            f"{reason}; {history.longest} bars do not suffice",
            "it depends on its whole history: write it as a fold (plugins.fold.FoldFeature), which remembers",
        )
    raise Failed(reason, f"declare lookback = {needed}, the bars that it needs (found by search)")


def _enough(subject: FeatureSubject) -> int:
    """Bars of history: the slower the plugin, the fewer."""
    least = len(subject.bars)
    return least if subject.cost > 0.02 else max(least, 2 * LONGEST)


class _History:
    """A plugin's values over its full history, and over trailing windows of it at some rows."""

    def __init__(self, subject: FeatureSubject, count: int) -> None:
        self.subject = subject
        self.bars = usual(count)
        self.full = subject.compute(self.bars)
        self.longest = count // 2
        self.largest = 0.0
        lengths = 12 if subject.cost < 0.05 else 3
        self.rows = np.unique(np.linspace(max(count // 2, (subject.lookback or 1) - 1), count - 1, lengths).astype(int))

    def fault(self, length: int) -> str | None:
        """How the values over `length` trailing bars differ; None when they agree."""
        wanted = self.full.iloc[self.rows]
        values: list[FloatArray] = []
        for row in self.rows.tolist():
            window = self.subject.compute(self.bars.iloc[row - length + 1 : row + 1], f"{length} trailing bars")
            if list(window.columns) != list(wanted.columns):
                return f"the columns for {length} bars are {names(window)}"
            values.append(numbers(window.iloc[-1:])[0])
        live = pd.DataFrame(np.array(values), wanted.index, wanted.columns)
        deviation = difference(wanted.astype(np.float64), live, CLOSE)
        if deviation is None:
            self.largest = distance(numbers(wanted), numbers(live))
            return None
        return deviation.text.replace(f" of row {deviation.row} ", f" of row {self.rows[deviation.row]} ")

    def search(self, shorter: int) -> int | None:
        """The fewest bars, more than `shorter`, that suffice; None when `longest` do not."""
        low, high = shorter, max(1, shorter)
        while self._differs(high):
            if high >= self.longest:
                return None
            low, high = high, min(2 * high, self.longest)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._differs(middle) else (low, middle)
        return high

    def _differs(self, length: int) -> bool:
        try:
            return self.fault(length) is not None
        except Failed:  # too few bars for it to compute at all
            return True


def warm_up(subject: FeatureSubject) -> str:
    """The declared `warmup` was compared with the first bar of usual data at which all columns had a value."""
    stream: StreamingFeature = subject.stream(subject.plugin)
    if not subject.fold:
        raise Inapplicable(f"without a fold it is the lookback less one: {stream.warmup}")
    known = subject.baseline.notna()
    filled = known.loc[:, known.any()].all(axis=1).to_numpy()
    if not filled.any():
        raise Inapplicable(f"it gave no value in {len(filled)} bars")
    first = int(np.argmax(filled))
    if first != stream.warmup:
        raise Failed(
            f"it declares {stream.warmup} bars before its first value, and there were {first}",
            f"declare warmup = {first} at these parameters, or leave it out and it is measured",
        )
    return f"{first} bars before the first value, as declared"
