"""What the report shows besides equity and metrics: when, where and how the first engine's result came about."""

import math
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.report.amounts import money
from backtest.report.chart import MARKS, Line, Marks, bars, chart
from backtest.report.outcome import BacktestOutcome
from backtest.report.sections.interactive import charted_symbols, placed
from plugins.fold.exact_windows import rolling_moments

FloatArray = NDArray[np.float64]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SHORTEST = 20
"""Bars of the shortest window for a rolling Sharpe ratio that means anything."""
BINS = 41
SYMBOLS_SHOWN = 30
BY_SYMBOL = ("trades", "won", "gain", "commission")


def panels(run: BacktestOutcome) -> str:
    """All of them, each a section; one that the engine's result cannot fill is left out."""
    result = next(iter(run.results.values()))
    curve = result["equity_curve"]
    curve = curve if isinstance(curve, pd.DataFrame) else curve.to_frame("equity")
    curve = curve.reindex(run.benchmark.index)
    fills, trades = result.get("fills"), result.get("trades")
    parts = [
        ("Returns by month", monthly(curve["equity"], run.opens(), run.strategy.execution.capital)),
        _rolling(run, curve["equity"], result["metrics"].get("periods_per_year")),
        ("Distribution of returns", distribution(curve["equity"])),
        ("Exposure", _exposure(run, curve)),
        ("Turnover, traded value over equity, summed up", _turnover(run, curve, fills)),
        ("By symbol", _by_symbol(trades, fills)),
        *_prices(run, fills),
    ]
    return "".join(
        f'<section class="lower"><h2>{escape(title)}</h2>{content}</section>' for title, content in parts if content
    )


def monthly(equity: "pd.Series[float]", opens: pd.DatetimeIndex, capital: float) -> str:
    """A table of simple returns, a row a year, without months that no year has; a month goes from the last close of
    the one before (the capital).
    """
    ends = pd.Series(equity.to_numpy(np.float64), opens).groupby([opens.year, opens.month]).last().dropna()
    if not len(ends) or (ends <= 0).any():
        return ""
    before = np.concatenate([[capital], ends.to_numpy()[:-1]])
    by_month = dict(zip(ends.index, ends.to_numpy() / before - 1.0, strict=True))
    largest = max(map(abs, by_month.values())) or 1.0
    rows, months = [], sorted({month for _, month in by_month})
    for year in sorted({year for year, _ in by_month}):
        returns = {month: by_month.get((year, month)) for month in months}
        total = math.prod(1.0 + value for value in returns.values() if value is not None) - 1.0
        cells = "".join(_heat(value, largest, MONTHS[month - 1]) for month, value in returns.items())
        rows.append(f'<tr><th>{year}</th>{cells}<td data-of="year">{_percent(total)}</td></tr>')
    head = "".join(f"<th>{MONTHS[month - 1]}</th>" for month in months)
    top = f"<thead><tr><th></th>{head}<th>year</th></tr></thead>"
    return f'<div class="wide"><table class="heat">{top}<tbody>{"".join(rows)}</tbody></table></div>'


def rolling_sharpe(equity: FloatArray, window: int, periods: float) -> FloatArray:
    """Yearly Sharpe ratio of the last `window` returns, at each bar; NaN before, and where nothing varies."""
    returns = np.full(len(equity), np.nan)
    returns[1:] = equity[1:] / equity[:-1] - 1.0
    means, spreads = rolling_moments(returns, window)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spreads > 0.0, means / spreads * math.sqrt(periods), np.nan)


def _rolling(run: BacktestOutcome, equity: "pd.Series[float]", periods: float | None) -> tuple[str, str]:
    window = int(min(max(SHORTEST, (periods or 0.0) / 2), len(equity) // 3))
    title = f"Sharpe ratio of the last {window:,} bars, yearly"
    if periods is None or window < SHORTEST:
        return title, ""
    values = rolling_sharpe(np.asarray(equity, np.float64), window, periods)
    if not np.isfinite(values).any():
        return title, ""
    return title, chart([Line("engine0", values)], run.opens(), lambda value: f"{value:.3g}")


def distribution(equity: "pd.Series[float]") -> str:
    """A histogram of the bars' returns; empty for too few."""
    returns = equity.pct_change(fill_method=None).dropna().to_numpy(np.float64)
    returns = returns[np.isfinite(returns) & (returns != 0.0)]
    if len(returns) < SHORTEST:
        return ""
    reach = float(np.quantile(np.abs(returns), 0.995))
    counts, edges = np.histogram(np.clip(returns, -reach, reach), BINS, (-reach, reach))
    note = "<p class=quiet>Returns of bars that are not 0; the outermost bars hold what lies beyond.</p>"
    labels = [float(edges[0]), float(edges[0]) / 2, 0.0, float(edges[-1]) / 2, float(edges[-1])]
    return bars(counts.astype(np.float64), labels, _digits) + note


def _exposure(run: BacktestOutcome, curve: pd.DataFrame) -> str:
    if not {"long", "short"} <= set(curve) or (curve["equity"] <= 0).any():
        return ""
    gross = ((curve["long"] - curve["short"]) / curve["equity"]).to_numpy(np.float64)
    return chart([Line("engine0", gross)], run.opens(), lambda value: f"{100 * value:.3g} %", filled=True)


def _turnover(run: BacktestOutcome, curve: pd.DataFrame, fills: pd.DataFrame | None) -> str:
    if fills is None or not len(fills) or "bar" not in fills or (curve["equity"] <= 0).any():
        return ""
    traded = (fills["size"].abs() * fills["price"]).groupby(fills["bar"]).sum().reindex(curve.index).fillna(0.0)
    values = (traded / curve["equity"]).cumsum().to_numpy(np.float64)
    return chart([Line("engine0", values)], run.opens(), lambda value: f"{value:.4g}")


def _by_symbol(trades: pd.DataFrame | None, fills: pd.DataFrame | None) -> str:
    if trades is None or not {"symbol", "pnl"} <= set(trades):
        return ""
    rows = []
    for symbol, of_symbol in sorted(trades.groupby("symbol"), key=lambda item: -float(item[1]["pnl"].sum())):
        paid = fills.loc[fills["symbol"] == symbol, "commission"].sum() if fills is not None else float("nan")
        cells = [
            f"{len(of_symbol):,}",
            _percent(float((of_symbol["pnl"] > 0).mean())),
            money(float(of_symbol["pnl"].sum())),
        ]
        cells += ["\u2013" if math.isnan(paid) else money(float(paid))]
        named = zip(BY_SYMBOL, cells, strict=True)
        drawn = "".join(f'<td data-of="{name}">{cell}</td>' for name, cell in named)
        rows.append(f"<tr><th>{escape(str(symbol))}</th>{drawn}</tr>")
    if not rows:
        return ""
    more = len(rows) - SYMBOLS_SHOWN
    rest = f"<p class=quiet>and {more:,} more</p>" if more > 0 else ""
    head = f"<thead><tr><th></th>{''.join(f'<th>{name}</th>' for name in BY_SYMBOL)}</tr></thead>"
    body = "".join(rows[:SYMBOLS_SHOWN])
    return f'<div class="wide"><table class="list">{head}<tbody>{body}</tbody></table></div>{rest}'


def _prices(run: BacktestOutcome, fills: pd.DataFrame | None) -> list[tuple[str, str]]:
    """The close of the symbols with the most fills, and where they were bought and sold."""
    if run.prices is None or fills is None or not len(fills) or "bar" not in fills:
        return []
    closes = run.prices["close"].unstack("symbol").reindex(run.benchmark.index)
    charts = []
    for symbol in charted_symbols(run):
        mine = fills[fills["symbol"] == symbol]
        places = closes.index.get_indexer(pd.DatetimeIndex(mine["bar"]))
        sides = [("buy", mine["size"] > 0), ("sell", mine["size"] < 0)]
        marks = [Marks(style, places[side], mine["price"].to_numpy(np.float64)[side]) for style, side in sides]
        line = Line("hold", closes[symbol].to_numpy(np.float64))
        drawn = placed(
            f"price {symbol}", chart([line], run.opens(), lambda value: f"{value:,.5g}", marks=marks), symbol
        )
        charts.append((f"{symbol}: close, bought (\u25b2) and sold (\u25bc){_thinned(marks)}", drawn))
    return charts


def _thinned(marks: list[Marks]) -> str:
    count, most = sum(len(points.values) for points in marks), max(len(points.values) for points in marks)
    return f"; some of {count:,} fills" if most > MARKS else ""


def _heat(value: float | None, largest: float, month: str) -> str:
    if value is None:
        return "<td></td>"
    colour = "--up" if value >= 0 else "--down"
    strength = round(60 * abs(value) / largest)
    background = f"background:color-mix(in srgb, var({colour}) {strength}%, transparent)"
    return f'<td data-of="{month}" style="{background}">{_percent(value)}</td>'


def _digits(share: float) -> str:
    """A share in percent with two significant digits: a minute's return is a few thousandths of a percent."""
    return f"{100 * share:.2g}\u00a0%"


def _percent(value: Any) -> str:
    return f"{100 * value:.1f}\u00a0%".replace("-0.0\u00a0", "0.0\u00a0")
