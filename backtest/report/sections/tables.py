"""Numbers as an HTML table that a phone can show: each cell knows its column."""

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import pandas as pd

from backtest.report.amounts import money

Shown = Callable[[Any], str]
DASH = "\u2013"


def percent(value: Any) -> str:
    return DASH if _unknown(value) else f"{100 * value:.2f}\u00a0%".replace("-0.00\u00a0", "0.00\u00a0")


def number(value: Any) -> str:
    return DASH if _unknown(value) else f"{value:,.2f}"


def whole(value: Any) -> str:
    return DASH if _unknown(value) else f"{value:,.0f}"


def amount(value: Any) -> str:
    return DASH if _unknown(value) else money(float(value))


def day(value: Any) -> str:
    return DASH if pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"


def table(rows: pd.DataFrame, columns: Mapping[str, tuple[str, Shown]], named: bool = True) -> str:
    """`columns`: by their name in `rows` the heading and how a value is shown; `named`: the index names the rows."""
    corner = "<th></th>" if named else ""
    head = corner + "".join(f"<th>{escape(title)}</th>" for title, _ in columns.values())
    body = []
    for key, row in rows.iterrows():
        cells = "".join(
            f'<td data-of="{escape(title)}">{escape(show(row[name]))}</td>' for name, (title, show) in columns.items()
        )
        body.append(f"<tr>{f'<th>{escape(str(key))}</th>' if named else ''}{cells}</tr>")
    rows_of = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="wide"><table class="list">{rows_of}</table></div>'


def pairs(values: Mapping[str, str]) -> str:
    """Two columns: a name and its value."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in values.items())
    return f'<table class="believe"><tbody>{rows}</tbody></table>'


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
