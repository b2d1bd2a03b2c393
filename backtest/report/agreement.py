"""Whether the engines of one backtest came to the same: they must, by the execution contract."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

EXACT = 1e-8
"""Of the larger of capital and equity: how far engines may be apart."""
SAME = ["bar", "symbol", "part", "size"]
"""What must be equal of each fill; its price follows to rounding."""


class Agreement(NamedTuple):
    """Two engines: whether they agree, the largest difference of their equity (as a share of the larger of capital and
    equity; None: it cannot be compared), and all that in a sentence.
    """

    engines: tuple[str, str]
    agree: bool
    difference: float | None
    text: str


def agreements(results: Mapping[str, Mapping[str, Any]], capital: float) -> list[Agreement]:
    """The first engine beside each other one; what each one's ``run`` returned is in `results`."""
    first, *others = results
    return [_compare(first, other, results[first], results[other], capital) for other in others]


def _compare(one: str, other: str, left: Mapping[str, Any], right: Mapping[str, Any], capital: float) -> Agreement:
    equity, again = left["equity_curve"]["equity"], right["equity_curve"]["equity"]
    both = f"{one} and {other}"
    if not equity.index.equals(again.index):
        return Agreement((one, other), False, None, f"{both} disagree: their equity is of different times")
    scale = np.maximum(capital, np.maximum(equity.abs(), again.abs()))
    distance = ((equity - again).abs() / scale).fillna(np.inf)
    largest = float(distance.max())
    fills = _fills_apart(left, right)
    if largest > EXACT or fills:
        worst = distance.idxmax()
        example = fills or f"at {worst} {equity[worst]:.10g} and {again[worst]:.10g}"
        text = f"{both} disagree: their equity is apart by up to {largest:.3g} of it; {example}"
        return Agreement((one, other), False, largest if np.isfinite(largest) else None, text)
    same = f"the same {len(left['fills']):,} fills, " if "fills" in left and "fills" in right else ""
    apart = "identical equity" if largest == 0.0 else f"equity apart by at most {largest:.2g} of it"
    text = f"{both} agree: {same}{apart}"
    return Agreement((one, other), True, largest, text)


def _fills_apart(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """The first fill that is not the same, in words; empty if there is none, or an engine tells of no fills."""
    if "fills" not in left or "fills" not in right:
        return ""
    fills, again = (result["fills"].reindex(columns=SAME) for result in (left, right))
    shared = min(len(fills), len(again))
    same = _equal(fills[:shared], again[:shared])
    if same.all():
        return "" if len(fills) == len(again) else f"{len(fills):,} and {len(again):,} fills"
    place = int(np.argmin(same))
    return f"fill {place + 1} is {_told(fills.iloc[place])} and {_told(again.iloc[place])}"


def _equal(fills: pd.DataFrame, again: pd.DataFrame) -> Any:
    whole = [name for name in SAME if name != "size"]
    sizes = np.isclose(fills["size"].to_numpy(np.float64), again["size"].to_numpy(np.float64), rtol=1e-12, atol=0.0)
    return (fills[whole].to_numpy() == again[whole].to_numpy()).all(axis=1) & sizes


def _told(fill: "pd.Series[Any]") -> str:
    return f"{fill['size']:g} of {fill['symbol']} on the bar of {fill['bar']} ({fill['part']})"
