"""Charts to look into: crosshair, values, zoom. TradingView's lightweight-charts draws them, out of the page itself.

The SVG charts stay in the page, for print and for readers without a script.
"""

import json
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.report.chart import thinned
from backtest.report.outcome import BacktestOutcome, equity_of

FloatArray = NDArray[np.float64]
CHARTED = 3
"""Symbols whose prices are drawn with their fills: those with the most."""
LIBRARY = "vendor/lightweight-charts/lightweight-charts.js"
CREDIT = (
    '<p class="quiet credit">Charts by <a href="https://www.tradingview.com/">TradingView</a> Lightweight Charts\u2122,'
    " Copyright \u00a9 2026 TradingView, Inc., Apache License 2.0.</p>"
)


def interactive(run: BacktestOutcome, trades: list[dict[str, Any]]) -> str:
    """The library, the data and the script that joins them, for the end of the page."""
    data = {"equity": _equity(run), "prices": _prices(run), "trades": trades}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    scripts = f"<script>{_read(LIBRARY)}</script>" + f"<script>{_read('templates/report.js')}</script>"
    return f'{CREDIT}<script type="application/json" id="data">{text}</script>{scripts}'


def placed(name: str, still: str, title: str = "") -> str:
    """Room for the chart `name`, and the `still` one that it replaces."""
    heading = f' aria-label="{escape(title)}"' if title else ""
    return f'<div class="live" data-chart="{escape(name)}"{heading} hidden></div><div class="still">{still}</div>'


def _read(name: str) -> str:
    return files("backtest.report").joinpath(name).read_text(encoding="utf-8")


def _equity(run: BacktestOutcome) -> dict[str, Any]:
    capital = run.strategy.execution.capital
    lines: dict[str, FloatArray] = {"buy and hold": np.asarray(run.benchmark, np.float64)}
    for key, result in run.results.items():
        lines[key] = np.asarray(equity_of(result).reindex(run.benchmark.index), np.float64)
    falls = {
        name: np.asarray(values / np.maximum.accumulate(np.fmax(values, capital)) - 1.0, np.float64)
        for name, values in lines.items()
    }
    drawn: list[FloatArray] = [*lines.values(), *falls.values()]
    kept = np.unique(np.concatenate([thinned(values)[0] for values in drawn]))
    return {
        "time": _seconds(run.opens()[kept]),
        "lines": {name: _rounded(values[kept]) for name, values in lines.items()},
        "drawdowns": {name: _rounded(100.0 * values[kept], 4) for name, values in falls.items()},
    }


def charted_symbols(run: BacktestOutcome) -> list[str]:
    """Those with the most fills."""
    fills = next(iter(run.results.values())).get("fills")
    if run.prices is None or fills is None or not len(fills) or "bar" not in fills:
        return []
    return [str(symbol) for symbol in fills["symbol"].value_counts().index[:CHARTED]]


def _prices(run: BacktestOutcome) -> dict[str, Any]:
    fills = next(iter(run.results.values())).get("fills")
    charts = {}
    opens = pd.Series(run.opens(), run.benchmark.index)
    for symbol in charted_symbols(run):
        assert run.prices is not None
        assert fills is not None
        closes = run.prices["close"].xs(symbol, level="symbol")
        mine = fills[fills["symbol"] == symbol].tail(2_000)
        bars = closes.index.get_indexer(pd.DatetimeIndex(mine["bar"]))
        kept = np.unique(np.concatenate([thinned(closes.to_numpy(np.float64))[0], bars[bars >= 0]]))
        charts[symbol] = {
            "time": _seconds(pd.DatetimeIndex(opens.reindex(closes.index[kept]))),
            "close": _rounded(closes.to_numpy(np.float64)[kept]),
            "fills": [
                [at, float(size), float(price)]
                for at, size, price in zip(
                    _seconds(pd.DatetimeIndex(opens.reindex(pd.DatetimeIndex(mine["bar"])))),
                    mine["size"], mine["price"], strict=True,
                )
            ],
        }  # fmt: skip
    return charts


def _seconds(times: pd.DatetimeIndex) -> list[int]:
    return [int(each) for each in times.as_unit("s").asi8]


def _rounded(values: FloatArray, digits: int = 2) -> list[float | None]:
    """As many digits as a reader can use: small prices keep their significant ones."""
    return [float(f"{value:.{6 + digits}g}") if np.isfinite(value) else None for value in values.tolist()]
