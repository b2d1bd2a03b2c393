"""`signal.ranking`."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plugins.base import FloatArray
from plugins.base import Params as SignalParams
from plugins.cross_sectional import CrossSectionGenerator, Ranked
from plugins.signals import signal_registry


@signal_registry.register("signal.ranking")
class Ranking(CrossSectionGenerator):
    """BUY the highest predictions of each time, SELL the lowest, and let the rest go.

    Parameters
    ----------
    top_n, bottom_n
        How many symbols are bought, and sold.
    position_mode
        long_short; long_only sells none: `bottom_n` counts as 0.
    rest
        What becomes of all others: flat is FLAT, weight 0; hold is HOLD, which keeps the position.

    Notes
    -----
    Rank 1 is the lowest prediction; of equal ones the symbol that comes first in the alphabet has the lower rank.
    `weight` is +1 for BUY, -1 for SELL (units, which `execution.weight` scales), 0 for FLAT. No prediction (NaN, or an
    infinite one) is HOLD, "no prediction", and has no rank. When fewer than ``top_n + bottom_n`` predictions are
    present, both numbers shrink to ``floor(present * n / (top_n + bottom_n))``, and the reason says so. A universe
    smaller than their sum is refused at start.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"prediction": [0.3, 0.1, 0.2, 0.2]}, index=["A", "B", "C", "D"])
    >>> Ranking(top_n=1, bottom_n=2).generate(rows)[["signal", "rank"]].values.tolist()
    [['BUY', 4.0], ['SELL', 1.0], ['SELL', 2.0], ['FLAT', 3.0]]
    """

    class Params(SignalParams):
        top_n: int = Field(5, ge=0)
        bottom_n: int = Field(5, ge=0)
        position_mode: Literal["long_short", "long_only"] = "long_short"
        rest: Literal["flat", "hold"] = "flat"

        @model_validator(mode="after")
        def _some(self) -> "Ranking.Params":
            if self.top_n == 0 and (self.bottom_n == 0 or self.position_mode == "long_only"):
                raise ValueError("nothing would ever be traded; give a top_n of 1 or more")
            return self

    scaled: ClassVar[bool] = True
    cost = "fast"

    @property
    def sides(self) -> tuple[int, int]:
        """How many are to be bought, and sold."""
        return self.params["top_n"], 0 if self.params["position_mode"] == "long_only" else self.params["bottom_n"]

    def universe_fault(self, size: int) -> str | None:
        top, bottom = self.sides
        if size >= top + bottom:
            return None
        need = f"top_n {top} and bottom_n {bottom} need {top + bottom} symbols" if bottom else f"top_n is {top}"
        return f"{need}, and the universe has {size}; rank fewer, or add symbols"

    def section(self, predictions: FloatArray, rank: NDArray[np.int64]) -> Ranked:
        present, wanted = len(predictions), self.sides
        top, bottom = (min(n, present * n // sum(wanted)) for n in wanted)
        side = np.where(rank > present - top, 1, np.where(rank <= bottom, -1, 0))
        kept = self.params["rest"] == "hold"
        words = {1: "BUY", -1: "SELL", 0: "HOLD" if kept else "FLAT"}
        shrunk = f" (of {sum(wanted)} wanted: {present} predictions)" if present < sum(wanted) else ""
        reasons = {1: f"top {top}{shrunk}", -1: f"bottom {bottom}{shrunk}", 0: f"{_rest(top, bottom)}{shrunk}"}
        places = side.tolist()
        return Ranked(
            [words[place] for place in places],
            np.where(side == 0, np.nan if kept else 0.0, side),
            [
                f"rank {number} of {present}: {reasons[place]}"
                for number, place in zip(rank.tolist(), places, strict=True)
            ],
        )


def _rest(top: int, bottom: int) -> str:
    return f"neither top {top} nor bottom {bottom}" if bottom else f"below the top {top}"
