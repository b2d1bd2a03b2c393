"""`signal.long_short`."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from plugins.base import Decisions, FloatArray
from plugins.base import Params as SignalParams
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.generator import FoldedSignalGenerator
from plugins.fold.rolling import moments
from plugins.signals import signal_registry

LEAST = {"clip": 1, "zscore": 2, "vol_target": 5}
"""Predictions that the window must hold."""


class Sizes(FoldFeature):
    """A prediction, scaled by what its symbol's last ones were: what `signal.long_short` clips.

    ``unclipped`` is NaN where it is undefined; ``known``: predictions in the window.
    """

    key = "signal.long_short"

    class Params(FeatureParams):
        scaling: Literal["clip", "zscore", "vol_target"]
        window: int
        volatility: float
        """The standard deviation that a size should have from bar to bar."""

    outputs = ("unclipped", "known")
    requires = ("prediction",)
    reads = ()
    warmup = 0

    def state(self) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
        window = 1 if self.params["scaling"] == "clip" else self.params["window"]
        return [("count", "i8"), ("ring", "f8", (window,))]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        prediction = bar.prediction
        known = math.isfinite(prediction)
        size = len(state.ring)
        state.ring[state.count % size] = prediction if known else math.nan
        state.count += 1
        if params.scaling == 0:
            out.known = 1.0 if known else 0.0
            out.unclipped = prediction if known else math.nan
            return
        first = state.count % size if state.count >= size else 0
        count, oldest, mean, squares = moments(state.ring, first, min(state.count, size))
        out.known = float(count)
        if known and count > 1 and squares > 0.0:
            deviation = math.sqrt(squares / (count - 1))
            if params.scaling == 1:
                out.unclipped = (prediction - oldest - mean) / deviation
            elif count >= 5:
                out.unclipped = prediction * (params.volatility / deviation)


@signal_registry.register("signal.long_short")
class LongShort(FoldedSignalGenerator):
    """A number for each prediction: how much of the weight to be long (above 0) or short (below 0).

    Parameters
    ----------
    mode
        long_short; long_only and short_only take the sizes of the other side as 0.
    scaling
        clip: the prediction itself. zscore: its distance from the mean of the symbol's last predictions in sample
        standard deviations. vol_target: the prediction, times what brings the annualised sample standard deviation of
        the last ones to `vol_target`.
    clip_min, clip_max
        Bounds of the size.
    zscore_window
        The symbol's predictions that zscore and vol_target look at, this one included.
    vol_target
        0.15 is 15 per cent a year.
    periods_per_year
        Bars in a year.

    Notes
    -----
    `signal` and `weight` are the size (a unit, which `execution.weight` scales). It is undefined, hence HOLD without a
    weight, where there is no prediction, while the window has fewer than 2 predictions (zscore) or 5 (vol_target), and
    where they do not vary; the reason says which. Bars without a prediction take their place in the window, and nothing
    is made of them. The rows of a symbol depend on its earlier ones.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"prediction": [0.5, 2.5, float("nan"), -0.25]})
    >>> LongShort(mode="long_only").generate(rows)["signal"].tolist()
    [0.5, 1.0, 'HOLD', 0.0]
    >>> LongShort(scaling="zscore", clip_max=3, clip_min=-3).generate(rows)["weight"].round(6).tolist()
    [nan, 0.707107, nan, -0.820695]
    """

    class Params(SignalParams):
        mode: Literal["long_short", "long_only", "short_only"] = "long_short"
        scaling: Literal["clip", "zscore", "vol_target"] = "clip"
        clip_min: FiniteFloat = -1.0
        clip_max: FiniteFloat = 1.0
        zscore_window: int = Field(60, ge=2)
        vol_target: float = Field(0.15, gt=0, allow_inf_nan=False)
        periods_per_year: float = Field(252.0, gt=0, allow_inf_nan=False)

        @model_validator(mode="after")
        def _consistent(self) -> "LongShort.Params":
            if self.clip_min >= self.clip_max:
                raise ValueError("clip_min is not below clip_max")
            if self.mode == "long_only" and self.clip_max <= 0:
                raise ValueError("clip_max allows no long position, and mode is long_only")
            if self.mode == "short_only" and self.clip_min >= 0:
                raise ValueError("clip_min allows no short position, and mode is short_only")
            if self.scaling == "vol_target" and self.zscore_window < LEAST["vol_target"]:
                raise ValueError("zscore_window is below 5, the predictions that vol_target needs")
            return self

    scaled: ClassVar[bool] = True
    cost = "compiled"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        mode, scaling, window = self.params["mode"], self.params["scaling"], self.params["zscore_window"]
        self.fold = Sizes(
            scaling=scaling,
            window=window,
            volatility=self.params["vol_target"] / math.sqrt(self.params["periods_per_year"]),
        )
        self._low = max(self.params["clip_min"], 0.0) if mode == "long_only" else self.params["clip_min"]
        self._high = min(self.params["clip_max"], 0.0) if mode == "short_only" else self.params["clip_max"]
        what = {"clip": "prediction", "zscore": "z-score", "vol_target": "prediction at the target volatility"}[scaling]
        self._reasons = np.array(
            [
                what,
                f"{what} < {self._low:g}",
                f"{what} > {self._high:g}",
                "no prediction",
                f"fewer than {LEAST[scaling]} of the last {window} predictions are known",
                f"the last {window} predictions do not vary",
            ],
            object,
        )

    def decide(self, columns: Mapping[str, FloatArray]) -> Decisions:
        """Decisions for rows given as arrays by column name, those of `Sizes` among them."""
        size, known = columns["unclipped"], columns["known"]
        code = np.where(size < self._low, 1, np.where(size > self._high, 2, 0))
        missing = np.isnan(size)
        few = known < LEAST[self.params["scaling"]]
        code[missing] = np.where(~np.isfinite(columns["prediction"]), 3, np.where(few, 4, 5))[missing]
        weight = np.clip(size, self._low, self._high) + 0.0  # no -0
        signal: list[str | float] = [number if number == number else "HOLD" for number in weight.tolist()]
        return Decisions(signal, weight, self._reasons[code].tolist())
