"""Round trips by side, by when they were entered, and how few of them the result hangs on."""

from typing import Any

import numpy as np
import pandas as pd

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def by_side(trades: pd.DataFrame) -> pd.DataFrame:
    """A row for all trades, the long and the short ones: `summary` of each."""
    long = trades["direction"] == "long"
    parts = {"all": trades, "long": trades[long], "short": trades[~long]}
    return pd.DataFrame({side: summary(part) for side, part in parts.items() if len(part)}).T


def summary(trades: pd.DataFrame) -> dict[str, float]:
    """Of some round trips: ``trades``, ``won`` (share), ``gain`` (sum of pnl), ``mean`` (pnl of one),
    ``profit_factor`` (won over lost money; NaN without a loss), ``bars`` and ``longest`` (bars from entry to exit: the
    median and the longest).
    """
    pnl, bars = trades["pnl"].to_numpy(np.float64), trades["bars"].to_numpy(np.float64)
    lost = -pnl[pnl < 0].sum()
    return {
        "trades": float(len(trades)),
        "won": float((pnl > 0).mean()) if len(pnl) else float("nan"),
        "gain": float(pnl.sum()),
        "mean": float(pnl.mean()) if len(pnl) else float("nan"),
        "profit_factor": float(pnl[pnl > 0].sum() / lost) if lost else float("nan"),
        "bars": float(np.median(bars)) if len(bars) else float("nan"),
        "longest": float(bars.max()) if len(bars) else float("nan"),
    }


def by_hour(trades: pd.DataFrame, zone: str) -> pd.DataFrame:
    """`summary` of the trades that were entered in each hour of the day, in `zone`."""
    entries = pd.DatetimeIndex(trades["entry_time"]).tz_convert(zone)
    return _grouped(trades, entries.hour.to_numpy(), lambda hour: f"{hour:02d}:00")


def by_weekday(trades: pd.DataFrame, zone: str) -> pd.DataFrame:
    """The same by the day of the week."""
    entries = pd.DatetimeIndex(trades["entry_time"]).tz_convert(zone)
    return _grouped(trades, entries.day_of_week.to_numpy(), lambda day: WEEKDAYS[day])


def by_exit(trades: pd.DataFrame, fills: pd.DataFrame, decisions: pd.DataFrame | None) -> pd.DataFrame:
    """`summary` by what ended them: the engine's own word (column ``exit_reason`` of the trades) where it has one, else
    the signal that decided the fill, of which each trade has one that reduces the position.
    """
    if "exit_reason" in trades:
        return _grouped(trades, trades["exit_reason"].astype(str).to_numpy(), str)
    if decisions is None or not {"part", "signal_time", "symbol"} <= set(fills):
        return pd.DataFrame()
    reducing = fills[fills["part"] == "reduce"]
    if len(reducing) != len(trades):
        return pd.DataFrame()
    keys = pd.MultiIndex.from_arrays([reducing["signal_time"], reducing["symbol"]])
    signals = decisions["signal"].reindex(keys).map(lambda value: value if isinstance(value, str) else "a number")
    return _grouped(trades, signals.to_numpy(), str)


def concentration(trades: pd.DataFrame) -> dict[str, Any]:
    """How much of the gain comes from few trades, and from one symbol: ``best_five`` (share of the whole gain that the
    five best trades make), ``best_symbol`` and ``symbol_share``. Empty where the trades did not gain.
    """
    whole = float(trades["pnl"].sum())
    if whole <= 0 or not len(trades):
        return {}
    of_symbols = trades.groupby("symbol")["pnl"].sum()
    return {
        "best_five": float(trades["pnl"].nlargest(5).sum()) / whole,
        "best_symbol": str(of_symbols.idxmax()),
        "symbol_share": float(of_symbols.max()) / whole,
    }


def _grouped(trades: pd.DataFrame, keys: Any, label: Any) -> pd.DataFrame:
    rows = {label(key): summary(trades[keys == key]) for key in sorted(set(keys.tolist()))}
    return pd.DataFrame(rows).T
