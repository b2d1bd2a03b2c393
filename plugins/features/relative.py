"""`relative.return`, `relative.beta`, `relative.spread`, `relative.correlation`: a symbol beside a reference.

Whose bars stand beside it, the configuration says: ``relative.beta: {window: 60, with: SPY}``. Where the reference has
no bar of the same close, nothing is known of it (NaN), or its last one before counts (``stale: last``).
"""

import math
from typing import Any

from pydantic import Field

from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature

REQUIRED = ("with.close",)


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else math.nan


def _regression(x: Any, y: Any, first: int) -> tuple[int, float, float, float, float, float]:
    """Of the pairs of which both are known, from place `first` of the rings on: how many, the means of x and y, and the
    sums of squares and products of the distances from them.
    """
    size = len(x)
    known, x0, y0, mean_x, mean_y = 0, math.nan, math.nan, 0.0, 0.0
    for n in range(size):
        place = first + n if first + n < size else first + n - size
        if x[place] == x[place] and y[place] == y[place]:
            if known == 0:
                x0, y0 = x[place], y[place]
            mean_x += x[place] - x0
            mean_y += y[place] - y0
            known += 1
    xx, xy, yy = 0.0, 0.0, 0.0
    if known > 0:
        mean_x /= known
        mean_y /= known
        for n in range(size):
            place = first + n if first + n < size else first + n - size
            if x[place] == x[place] and y[place] == y[place]:
                dx, dy = x[place] - x0 - mean_x, y[place] - y0 - mean_y
                xx += dx * dx
                xy += dx * dy
                yy += dy * dy
    return known, x0 + mean_x, y0 + mean_y, xx, xy, yy


def _moments(x: Any, y: Any, ratio: float, first: int) -> tuple[float, float]:
    """Of all y - ratio · x, from place `first` of the rings on: the mean minus the oldest one, and the sum of the
    squares of the distances from the mean.
    """
    size = len(x)
    oldest, mean, squares = y[first] - ratio * x[first], 0.0, 0.0
    for n in range(size):
        place = first + n if first + n < size else first + n - size
        mean += y[place] - ratio * x[place] - oldest
    mean /= size
    for n in range(size):
        place = first + n if first + n < size else first + n - size
        distance = y[place] - ratio * x[place] - oldest - mean
        squares += distance * distance
    return mean, squares


def _take_returns(state: Any, bar: Any, window: int) -> int:
    """Puts the log returns since the last bar into the rings; the place of the oldest pair."""
    close, other = _log(bar.close), _log(bar.with_close)
    place = state.count % window
    if state.count > 0:
        state.x[place] = other - state.other
        state.y[place] = close - state.close
    else:
        state.x[place] = math.nan
        state.y[place] = math.nan
    state.close, state.other = close, other
    state.count += 1
    return (place + 1) % window  # type: ignore[no-any-return]


class _Windowed(FeatureParams):
    window: int = Field(60, ge=3, le=2_000)
    min_periods: int | None = Field(None, ge=3)


class _OfReturns(FoldFeature):
    """Over a window of pairs of log returns."""

    requires = REQUIRED
    reads = ("close",)

    class Params(_Windowed):
        pass

    @property
    def warmup(self) -> int:
        return self._least

    @property
    def _least(self) -> int:
        """Pairs that must be known."""
        window, least = int(self.params["window"]), self.params["min_periods"]
        return window if least is None else min(int(least), window)

    def step_params(self) -> dict[str, Any]:
        return {"window": int(self.params["window"]), "least": self._least}

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        rings = (self.params["window"],)
        return [("count", "i8"), ("close", "f8"), ("other", "f8"), ("x", "f8", rings), ("y", "f8", rings)]


@feature_registry.register("relative.return")
class RelativeReturn(FoldFeature):
    """Return over n bars beyond the reference's: ``(x[t] / x[t - n] - 1) - (r[t] / r[t - n] - 1)``.

    Parameters
    ----------
    window
        n, the bars of the symbol to look back.

    Notes
    -----
    x and r are the closes of the symbol and of the reference beside it; r[t - n] is the reference's beside the symbol's
    bar n bars ago. 0.01 is one per cent. The first value comes with bar n + 1; NaN where the reference is unknown at
    either end.

    References
    ----------
    ``pandas.Series.pct_change(n)`` of both, their difference.

    Examples
    --------
    >>> import pandas as pd
    >>> data = pd.DataFrame({"close": [100.0, 110.0], "with.close": [50.0, 52.0]})
    >>> [round(value, 6) for value in RelativeReturn(window=1).compute(data)["relative_return"]]
    [nan, 0.06]
    """

    class Params(FeatureParams):
        window: int = Field(20, ge=1)

    outputs = ("relative_return",)
    requires = REQUIRED
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["window"])

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        ring = (self.params["window"],)
        return [("count", "i8"), ("close", "f8", ring), ("other", "f8", ring)]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        place = state.count % params.window
        if state.count >= params.window:
            out.relative_return = bar.close / state.close[place] - bar.with_close / state.other[place]
        state.close[place], state.other[place] = bar.close, bar.with_close
        state.count += 1


@feature_registry.register("relative.beta")
class Beta(_OfReturns):
    """Rolling least squares of the symbol's log returns on the reference's: ``y = alpha + beta · x + residual``.

    Parameters
    ----------
    window
        n, the last pairs of returns.
    min_periods
        Pairs of the window that must be known; by default all.

    Notes
    -----
    A pair is the log return of the symbol and of the reference since the symbol's bar before. `beta` is the slope,
    `residual` what the last pair lies above the line, `r2` the share of the variance that the line explains, in 0 … 1.
    The first value comes with bar n + 1. NaN where the last pair is unknown (the reference has no bar), fewer pairs
    than `min_periods` are known, or the reference did not move; `r2` too where the symbol did not.

    References
    ----------
    ``numpy.linalg.lstsq`` over each window, with an intercept.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> other = np.exp(np.cumsum([0.0, 0.01, -0.02, 0.03, 0.01]))
    >>> data = pd.DataFrame({"close": other ** 2.0, "with.close": other})
    >>> Beta(window=3).compute(data)["beta"].round(6).tolist()
    [nan, nan, nan, 2.0, 2.0]
    """

    outputs = ("beta", "residual", "r2")

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        first = _take_returns(state, bar, params.window)
        last = first - 1 if first > 0 else params.window - 1
        x, y = state.x[last], state.y[last]
        if state.count <= params.least or x != x or y != y:
            return
        known, mean_x, mean_y, xx, xy, yy = _regression(state.x, state.y, first)
        if known >= params.least and xx > 0.0:
            beta = xy / xx
            out.beta = beta
            out.residual = (y - mean_y) - beta * (x - mean_x)
            if yy > 0.0:
                out.r2 = min(xy * xy / (xx * yy), 1.0)


@feature_registry.register("relative.correlation")
class Correlation(_OfReturns):
    """Pearson's correlation of the log returns of the symbol and of the reference, in -1 … 1.

    Parameters
    ----------
    window
        n, the last pairs of returns.
    min_periods
        Pairs of the window that must be known; by default all.

    Notes
    -----
    Pairs are as of `relative.beta`. The first value comes with bar n + 1. NaN where the last pair is unknown, fewer
    pairs than `min_periods` are known, or one of both did not move.

    References
    ----------
    ``numpy.corrcoef`` of each window.

    Examples
    --------
    >>> import pandas as pd
    >>> data = pd.DataFrame({"close": [1.0, 2.0, 1.0, 2.0], "with.close": [2.0, 1.0, 2.0, 1.0]})
    >>> Correlation(window=3).compute(data)["correlation"].round(6).tolist()
    [nan, nan, nan, -1.0]
    """

    outputs = ("correlation",)

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        first = _take_returns(state, bar, params.window)
        last = first - 1 if first > 0 else params.window - 1
        if state.count <= params.least or state.x[last] != state.x[last] or state.y[last] != state.y[last]:
            return
        known, _, _, xx, xy, yy = _regression(state.x, state.y, first)
        if known >= params.least and xx > 0.0 and yy > 0.0:
            out.correlation = max(-1.0, min(xy / (math.sqrt(xx) * math.sqrt(yy)), 1.0))


@feature_registry.register("relative.spread")
class Spread(FoldFeature):
    """Spread of the log prices, ``ln x - h · ln r``, and its distance from its mean in standard deviations.

    Parameters
    ----------
    window
        n, the last bars that the hedge ratio, the mean and the deviation are taken over.
    hedge_ratio
        h; by default the slope of the least squares of ln x on ln r (with an intercept) over the window.

    Notes
    -----
    x and r are the closes of the symbol and of the reference beside it. `spread_z` is by the sample standard deviation
    of the window's spreads, all by the present h. The first values come with bar n. NaN where the reference is unknown
    at one of the n bars; `spread_z` too where the spread does not move.

    References
    ----------
    ``numpy.linalg.lstsq`` over each window.

    Examples
    --------
    >>> import pandas as pd
    >>> data = pd.DataFrame({"close": [1.0, 2.0, 8.0], "with.close": [1.0, 2.0, 4.0]})
    >>> Spread(window=3, hedge_ratio=1.0).compute(data).round(4).iloc[-1].tolist()
    [0.6931, 1.1547, 1.0]
    """

    class Params(FeatureParams):
        window: int = Field(60, ge=3, le=2_000)
        hedge_ratio: float | None = Field(None, allow_inf_nan=False)

    outputs = ("spread", "spread_z", "hedge_ratio")
    requires = REQUIRED
    reads = ("close",)

    @property
    def warmup(self) -> int:
        return int(self.params["window"]) - 1

    def step_params(self) -> dict[str, Any]:
        given = self.params["hedge_ratio"]
        ratio = math.nan if given is None else float(given)
        return {"window": int(self.params["window"]), "ratio": ratio}

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        rings = (self.params["window"],)
        return [("count", "i8"), ("x", "f8", rings), ("y", "f8", rings)]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        window, last = params.window, state.count % params.window
        state.x[last], state.y[last] = _log(bar.with_close), _log(bar.close)
        state.count += 1
        if state.count < window:
            return
        first, ratio = (last + 1) % window, params.ratio
        known, _, _, xx, xy, _ = _regression(state.x, state.y, first)
        if known < window:
            return
        if ratio != ratio:
            ratio = xy / xx if xx > 0.0 else math.nan
        out.hedge_ratio = ratio
        out.spread = state.y[last] - ratio * state.x[last]
        mean, squares = _moments(state.x, state.y, ratio, first)
        if squares > 0.0:
            oldest = state.y[first] - ratio * state.x[first]
            out.spread_z = (out.spread - oldest - mean) / math.sqrt(squares / (window - 1))
