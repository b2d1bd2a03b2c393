"""Every round trip, to sort and to filter in the browser; without a script the first ones."""

from typing import Any

import numpy as np
import pandas as pd

from backtest.report.sections.tables import Shown, amount, number, percent, table, whole

MOST = 5_000
"""Trades in the page; all are in the folder."""
SHOWN = 15


def _minute(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M}"


COLUMNS: dict[str, tuple[str, Shown]] = {
    "symbol": ("symbol", str), "direction": ("side", str), "entry_time": ("entered", _minute),
    "exit_time": ("left", _minute), "size": ("size", lambda value: f"{value:,.6g}"), "entry_price": ("at", number),
    "exit_price": ("for", number), "pnl": ("gain", amount), "return": ("return", percent), "bars": ("bars", whole),
}  # fmt: skip


def trade_list(trades: pd.DataFrame | None) -> tuple[str, list[dict[str, Any]]]:
    """The table of the first trades, and rows for the script; both empty where an engine gives less."""
    if trades is None or not len(trades) or not set(COLUMNS) <= set(trades):
        return "", []
    rows = trades[list(COLUMNS)].head(MOST)
    more = len(trades) - MOST
    note = f'<p class="quiet">The first {MOST:,}; all {len(trades):,} are in trades.csv.</p>' if more > 0 else ""
    first = table(rows.head(SHOWN), COLUMNS, named=False)
    shown = [
        [show(value) for (_, show), value in zip(COLUMNS.values(), row, strict=True)]
        for row in rows.itertuples(index=False)
    ]
    keys = rows.assign(entry_time=_seconds(rows["entry_time"]), exit_time=_seconds(rows["exit_time"])).itertuples(
        index=False
    )
    data = [{"text": text, "key": [_key(value) for value in key]} for text, key in zip(shown, keys, strict=True)]
    return f'<div id="trades">{first}</div>{note}', data


def _seconds(times: "pd.Series[Any]") -> Any:
    return pd.DatetimeIndex(times).as_unit("s").asi8


def _key(value: Any) -> Any:
    """What a column is sorted by."""
    if isinstance(value, str):
        return value
    plain = float(value)
    return plain if np.isfinite(plain) else None
