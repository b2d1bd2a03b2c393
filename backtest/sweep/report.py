"""The page of a sweep: how far the best is to be believed, a heat map, the table."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

from backtest.report.page import page
from backtest.report.report import METRICS, NOTHING, overfitting_table, shown

if TYPE_CHECKING:
    from backtest.sweep.points import Point, Sweep

COLUMNS = ("sharpe", "total_return", "max_drawdown", "trades", "turnover")


def sweep_page(name: str, engine: str, grid: Mapping[str, Sequence[Any]], result: "Sweep") -> str:
    """One HTML page that fetches nothing."""
    best = ", ".join(f"{key} = {value}" for key, value in result.best.parameters.items())
    alone = f"{result.best.symbol}: " if result.best.symbol else ""
    return page(
        "sweep.html",
        f"{name}: sweep",
        name=escape(name),
        facts=f"<span>{len(result.points):,} points</span><span>{escape(engine)}</span>"
        f"<span>best: {escape(alone + best)}</span>",
        overfitting=overfitting_table(result.verdict),
        heat=_heat(grid, result),
        walk=_walk(result),
        table=_table(grid, result.points),
    )


def _heat(grid: Mapping[str, Sequence[Any]], result: "Sweep") -> str:
    """Sharpe ratio by the first two keys, the best over whatever else there is."""
    down = next(iter(grid))
    across = next(itertools.islice(grid, 1, None), "")
    columns: Sequence[Any] = grid[across] if across else [None]
    best: dict[tuple[Any, Any], float] = {}
    for point in result.points:
        place = (repr(point.parameters[down]), repr(point.parameters.get(across)))
        best[place] = max(best.get(place, point.sharpe), point.sharpe)
    largest = max((abs(value) for value in best.values() if abs(value) != float("inf")), default=1.0) or 1.0
    head = "".join(f"<th>{escape(NOTHING if value is None else str(value))}</th>" for value in columns)
    body = "".join(
        f"<tr><th>{escape(str(row))}</th>"
        + "".join(_cell(best[repr(row), repr(column)], largest, column) for column in columns)
        + "</tr>"
        for row in grid[down]
    )
    sides = f"{_key(down)} downwards" + (f", {_key(across)} across" if across else "")
    top = f"<thead><tr><th></th>{head}</tr></thead>" if across else ""
    table = f'<div class="wide"><table class="heat">{top}<tbody>{body}</tbody></table></div>'
    return f"<p class=quiet>{sides}</p>{table}"


def _cell(value: float, largest: float, column: Any) -> str:
    """It knows its column, whose value a narrow screen shows beside it."""
    of = "" if column is None else f' data-of="{escape(str(column))}"'
    if abs(value) == float("inf"):
        return f"<td{of}>{NOTHING}</td>"
    strength = round(70 * min(abs(value) / largest, 1.0))
    colour = "--up" if value >= 0 else "--down"
    return f'<td{of} style="background:color-mix(in srgb, var({colour}) {strength}%, transparent)">{value:.2f}</td>'


def _walk(result: "Sweep") -> str:
    if not result.windows:
        return ""
    rows = "".join(
        f"<tr><td class=text>{_date(w.begin)} to {_date(w.end)}</td><td>{w.point}</td>"
        f"<td>{shown(w.chosen, 'number')}</td><td>{shown(w.after, 'number')}</td></tr>"
        for w in result.windows
    )
    head = "<tr><th>window</th><th>best point before</th><th>its Sharpe ratio a bar there</th><th>and here</th></tr>"
    return f"<section><h2>Walk-forward</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table></section>"


def _date(time_ms: int) -> str:
    return f"<time>{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}</time>"


def _key(name: str) -> str:
    """May be broken after its points."""
    return escape(name).replace(".", ".<wbr>")


def _table(grid: Mapping[str, Sequence[Any]], points: Sequence["Point"]) -> str:
    alone = any(point.symbol for point in points)
    first, *others = (METRICS[name][0] for name in COLUMNS)
    names = ["point", *(["symbol"] if alone else []), first, *grid, *others]
    head = "".join(f"<th>{_key(name)}</th>" for name in names)
    body = "".join(_row(p, alone) for p in sorted(points, key=lambda point: -point.sharpe))
    return f'<div class="wide"><table class="points"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(point: "Point", alone: bool) -> str:
    """Its Sharpe ratio first: a narrow screen shows that and the settings, and the rest on a swipe."""
    first, *others = (f"<td>{shown(point.metrics.get(name), METRICS[name][1])}</td>" for name in COLUMNS)
    symbol = f"<td class=text>{escape(point.symbol or NOTHING)}</td>" if alone else ""
    settings = "".join(f"<td>{escape(str(value))}</td>" for value in point.parameters.values())
    return f"<tr><td>{point.number}</td>{symbol}{first}{settings}{''.join(others)}</tr>"
