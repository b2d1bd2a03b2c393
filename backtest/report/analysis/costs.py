"""What trading cost, and how much more it would bear."""

import pandas as pd

from schemas.configuration import Execution


def cost_split(
    fills: pd.DataFrame, execution: Execution, engine_costs: dict[str, float] | None = None
) -> dict[str, float]:
    """Money paid: ``commission``; ``slippage`` (by what fills were worse than the price that the rule names: the factor
    1 ± slippage); and what the engine itself names in `engine_costs` (spread, impact, borrow, funding).
    """
    slip = execution.slippage
    buys = fills["size"] > 0
    notional = fills["size"].abs() * fills["price"]
    worse = notional.where(buys, 0.0).sum() * slip / (1 + slip) + notional.where(~buys, 0.0).sum() * slip / (1 - slip)
    paid = {"commission": float(fills["commission"].sum()), "slippage": float(worse)}
    return paid | {name: float(value) for name, value in (engine_costs or {}).items() if name not in paid}


def break_even(fills: pd.DataFrame, gain: float) -> float | None:
    """By how much of each traded notional (a fraction) the costs could rise until `gain` is gone; None where nothing
    was traded or gained.
    """
    traded = float((fills["size"].abs() * fills["price"]).sum())
    return gain / traded if traded and gain > 0 else None
