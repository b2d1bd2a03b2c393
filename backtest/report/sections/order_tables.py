"""The orders of a report that were not filled, or not entirely."""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

ROWS_SHOWN = 15


def order_tables(results: Mapping[str, Mapping[str, Any]], name: str, title: str, nothing: str) -> str:
    """A table for each engine that has rows of `name`; engines with equal ones share it."""
    parts = []
    for keys, table in _shared(results, name):
        heading = f"{title}: {', '.join(keys)}" if len(results) > 1 else title
        more = len(table) - ROWS_SHOWN
        rest = f"<p class=quiet>and {more:,} more in {escape(keys[0])}/{name}.csv</p>" if more > 0 else ""
        parts.append(f"<h2>{escape(heading)} ({len(table):,})</h2>{_rows(table.head(ROWS_SHOWN))}{rest}")
    return "".join(parts) or f"<h2>{title}</h2><p class=quiet>{nothing}</p>"


def _shared(results: Mapping[str, Mapping[str, Any]], name: str) -> list[tuple[list[str], pd.DataFrame]]:
    groups: list[tuple[list[str], pd.DataFrame]] = []
    for key, result in results.items():
        table = result.get(name)
        if table is None or not len(table):
            continue
        keys = next((keys for keys, other in groups if _alike(table, other)), None)
        if keys is None:
            groups.append(([key], table))
        else:
            keys.append(key)
    return groups


def _alike(table: pd.DataFrame, other: pd.DataFrame) -> bool:
    """To rounding."""
    try:
        pd.testing.assert_frame_equal(table, other, check_dtype=False, rtol=1e-8)
    except AssertionError:
        return False
    return True


def _rows(table: pd.DataFrame) -> str:
    shown_columns = [column for column in table.columns if column != "bar"]
    names = [escape(str(column).replace("_", " ")) for column in shown_columns]
    sides = [_side(table[column]) for column in shown_columns]
    head = "".join(f"<th{side}>{name}</th>" for side, name in zip(sides, names, strict=True))
    body = "".join(
        f"<tr>{''.join(map(_cell, row, names))}</tr>" for row in table[shown_columns].itertuples(index=False)
    )
    return f'<div class="wide"><table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _side(column: "pd.Series[Any]") -> str:
    return "" if pd.api.types.is_numeric_dtype(column) else " class=text"


def _cell(value: Any, name: str) -> str:
    """A cell that knows its column, whose name a narrow screen shows beside it."""
    if isinstance(value, float):
        return f'<td data-of="{name}">{f"{value:,.6g}" if abs(value) < 1e5 else f"{value:,.0f}"}</td>'
    text = f"{value:%Y-%m-%d %H:%M}" if isinstance(value, pd.Timestamp) else escape(str(value))
    return f'<td class=text data-of="{name}">{text}</td>'
