"""`automated.tsfresh`."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from plugins.base import FloatArray
from plugins.base.streaming import Rows, forget_infinite
from plugins.features import feature_registry
from plugins.features._tsfresh_calls import Extraction
from plugins.fold import Column, FeatureParams, FoldFeature, column_of
from plugins.fold import Field as StateField
from plugins.fold.rolling import moments, sorted_insert, sorted_replace

MINIMAL = (
    "sum_values", "median", "mean", "length", "standard_deviation", "variance",
    "root_mean_square", "maximum", "absolute_maximum", "minimum",
)  # fmt: skip
COST = {"minimal": "compiled", "efficient": "slow: 66 ms a bar", "comprehensive": "slow: 66 ms a bar"}


@feature_registry.register("automated.tsfresh")
class TSFresh(FoldFeature):
    """What tsfresh extracts from the last n values of a column: 10, 777 or 783 numbers, or those that are named.

    Parameters
    ----------
    feature_set
        minimal (10 columns, compiled, 0.3 µs a bar), efficient (777, 66 ms a bar) or comprehensive (783, the
        same): tsfresh's own sets.
    column
        open, high, low, close or volume.
    window
        n, the bars of the window, this one included.
    features
        Names of tsfresh's features to extract instead of a set, each with or without the column in front (``mean``,
        ``close__mean``, ``autocorrelation__lag_3``): through tsfresh, 2 ms a bar and what each of them costs.
    every
        Extract at bar n of a symbol and at every k-th one after it; the bars between are NaN.

    Notes
    -----
    A column is named as tsfresh names it, ``close__mean``; all of them are always there, in tsfresh's order (in that of
    `features`), also those that are NaN throughout: which ones these are is known only afterwards. The first value
    comes with bar n. `minimal` is compiled from the definitions: the standard deviation and the variance are those of a
    population (ddof 0). The others call ``tsfresh.extract_features`` on the window, bar by bar.

    Raises
    ------
    PluginError
        Where tsfresh is needed and not installed, and for a name in `features` that it does not know.

    References
    ----------
    M. Christ et al., Time Series FeatuRe Extraction on basis of Scalable Hypothesis tests, Neurocomputing 307 (2018).

    Examples
    --------
    >>> import pandas as pd
    >>> values = TSFresh(window=3).compute(pd.DataFrame({"close": [4.0, 1.0, 3.0, 5.0]}))
    >>> values[["close__sum_values", "close__median", "close__variance"]].round(6).values.tolist()[2:]
    [[8.0, 3.0, 1.555556], [9.0, 3.0, 2.666667]]
    """

    class Params(FeatureParams):
        feature_set: Literal["minimal", "efficient", "comprehensive"] = "minimal"
        column: Column = Field("close", validation_alias=AliasChoices("column", "col"))
        window: int = Field(50, ge=2)
        features: list[str] | None = Field(None, min_length=1)
        every: int = Field(1, ge=1)

    packages = {"tsfresh": "alphawire[tsfresh]"}
    cost = "compiled (minimal), else slow: about 66 ms a bar"

    def __init__(self, **params: Any) -> None:
        self._extraction: Extraction | None = None
        chosen = self.validate(params)
        if chosen["features"] or chosen["feature_set"] != "minimal":
            what = chosen["features"] or chosen["feature_set"]
            self._extraction = Extraction(chosen["column"], what, chosen["window"])
            self.cost = "slow: 2 ms a bar and more" if chosen["features"] else COST[chosen["feature_set"]]
        super().__init__(**params)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        if self._extraction is not None:
            return self._extraction.names
        return tuple(f"{self.params['column']}__{name}" for name in MINIMAL)

    @property
    def fields(self) -> tuple[str, ...]:
        return MINIMAL

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.params["column"],)

    @property
    def warmup(self) -> int:
        return int(self.params["window"]) - 1

    def state(self) -> list[StateField]:
        ring = (self.params["window"],)
        return [("count", "i8"), ("ring", "f8", ring), *([("ranked", "f8", ring)] if self._extraction is None else [])]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        n = params.window
        value = column_of(bar, params.column)
        place = state.count % n
        if state.count < n:
            sorted_insert(state.ranked, state.count, value)
        else:
            sorted_replace(state.ranked, n, state.ring[place], value)
        state.ring[place] = value
        state.count += 1
        if state.count < n or (state.count - n) % params.every > 0:
            return
        first = state.count % n
        _, oldest, mean, squares = moments(state.ring, first, n)
        smallest, largest, middle = state.ranked[0], state.ranked[n - 1], state.ranked[n // 2]
        out.mean = oldest + mean
        out.sum_values = n * (oldest + mean)
        out.median = middle if n % 2 == 1 else (state.ranked[n // 2 - 1] + middle) / 2.0
        out.length = float(n)
        out.variance = squares / n
        out.standard_deviation = math.sqrt(squares / n)
        out.root_mean_square = math.sqrt(sum_of_squares(state.ring, first) / n)
        out.maximum, out.minimum = largest, smallest
        out.absolute_maximum = max(abs(smallest), abs(largest))

    def prepare(self) -> None:
        if self._extraction is None:
            super().prepare()

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        if self._extraction is None:
            super().run(states, slots, bars, outs)
        else:
            self._run_windows(self._extraction, states, slots, bars, outs)

    def run_plain(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        if self._extraction is None:
            super().run_plain(states, slots, bars, outs)
        else:
            self._run_windows(self._extraction, states, slots, bars, outs)

    def _run_windows(
        self, extraction: Extraction, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray
    ) -> None:
        n, every = self.params["window"], self.params["every"]
        counts, rings = states["count"], states["ring"]
        outs.fill(np.nan)
        for i, (slot, value) in enumerate(zip(slots.tolist(), bars[self.params["column"]].tolist(), strict=True)):
            if math.isnan(value):
                continue
            rings[slot, counts[slot] % n] = value
            counts[slot] += 1
            count = int(counts[slot])
            if count >= n and (count - n) % every == 0:
                outs[i] = extraction(np.roll(rings[slot], -(count % n)))
        forget_infinite(outs)


def sum_of_squares(ring: Any, first: int) -> float:
    """Of all values, from place `first` on."""
    total = 0.0
    for number in range(len(ring)):
        value = ring[(first + number) % len(ring)]
        total += value * value
    return total
