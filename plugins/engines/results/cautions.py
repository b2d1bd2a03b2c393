"""What a reader must know of the data and of decisions that came to nothing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plugins.engines.contract import whole_lots
from plugins.engines.market import FloatArray, Market
from schemas.configuration import Execution


def decisions_below_lot(market: Market, equity: FloatArray, closes: FloatArray) -> pd.DataFrame:
    """Decisions for a position that comes to no lot, by the `equity` and the `closes` of each row that they knew."""
    row, symbol, weight = market.decision_row, market.decision_symbol, market.decision_weight
    wanted = np.abs(weight) * equity[row] / (closes[row, symbol] * market.lots[symbol])
    small = (weight != 0) & (equity[row] > 0) & (wanted < 1.0)
    small[small] = [whole_lots(lots) == 0 for lots in wanted[small].tolist()]
    return pd.DataFrame({
        "symbol": pd.Series(market.symbols, dtype=str).array.take(symbol[small]),
        "signal_time": market.times[row[small]],
        "weight": weight[small],
    })  # fmt: skip


def warnings(market: Market, execution: Execution, below_lot: pd.DataFrame) -> list[str]:
    """In sentences; empty where there is nothing to know."""
    texts = []
    if silent := market.without_volume:
        texts.append(f"no bar of {_listed(silent)} has a volume, so every bar there is taken as one that trades.")
    if len(below_lot):
        symbols = sorted(below_lot["symbol"].unique())
        decisions = f"{len(below_lot):,} decision{'s' if len(below_lot) > 1 else ''} on {_listed(symbols)}"
        texts.append(f"{decisions} came to less than a lot, so to no position; give execution.lot by symbol.")
    given = set(execution.lot) if isinstance(execution.lot, dict) else set()
    if unknown := sorted(given - {"default", *market.symbols}):
        texts.append(f"execution.lot names {_listed(unknown)}, of which there are no bars.")
    return texts


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
