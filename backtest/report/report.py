"""The report of a backtest: one HTML page that fetches nothing.

Charts are inline SVG, drawn by `backtest.report.chart`, for print and for readers without a script; where there is one,
TradingView's lightweight-charts (Apache-2.0, 200 kB, in the page itself) replaces those of equity, drawdown and prices.
"""

from html import escape
from typing import Any

import numpy as np

from backtest.report.agreement import agreements
from backtest.report.amounts import money, plain
from backtest.report.chart import Line, chart
from backtest.report.outcome import SHORT_DAYS, BacktestOutcome, counted, equity_of
from backtest.report.page import page
from backtest.report.sections.breakdown import breakdown, breakdown_sections
from backtest.report.sections.interactive import interactive, placed
from backtest.report.sections.order_tables import order_tables
from backtest.report.sections.panels import panels
from backtest.report.sections.trade_list import trade_list
from backtest.report.sections.words import doubts, doubts_section, in_words
from backtest.trials.trials import TrialVerdict

NOTHING = "\u2013"

PERCENT, NUMBER, COUNT, MONEY, DAYS = "percent", "number", "count", "money", "days"
METRICS = {
    "final_equity": ("Final equity", MONEY),
    "total_return": ("Total return", PERCENT),
    "cagr": ("Yearly growth (CAGR)", PERCENT),
    "volatility": ("Volatility, yearly", PERCENT),
    "sharpe": ("Sharpe ratio", NUMBER),
    "sortino": ("Sortino ratio", NUMBER),
    "calmar": ("Calmar ratio", NUMBER),
    "max_drawdown": ("Maximum drawdown", PERCENT),
    "max_drawdown_bars": ("Its length in bars", COUNT),
    "max_drawdown_days": ("Its length in days", DAYS),
    "var_95": ("Value at risk, a bar, 95\u00a0%", PERCENT),
    "var_99": ("Value at risk, a bar, 99\u00a0%", PERCENT),
    "cvar_95": ("Expected shortfall, 95\u00a0%", PERCENT),
    "cvar_99": ("Expected shortfall, 99\u00a0%", PERCENT),
    "trades": ("Trades (round trips)", COUNT),
    "win_rate": ("Won", PERCENT),
    "profit_factor": ("Profit factor", NUMBER),
    "average_win": ("Average win", MONEY),
    "average_loss": ("Average loss", MONEY),
    "expectancy": ("Expectancy of a trade", MONEY),
    "turnover": ("Turnover, yearly", NUMBER),
    "exposure": ("Exposure, mean", PERCENT),
    "bars_in_market": ("Bars in the market", COUNT),
    "commission": ("Commission paid", MONEY),
    "fills": ("Fills", COUNT),
    "bars": ("Bars", COUNT),
    "periods_per_year": ("Bars in a year", COUNT),
}
RULES = {
    "next_open": "A signal on a bar's close is filled at the open of the symbol's next bar",
    "next_close": "A signal on a bar's close is filled at the close of the symbol's next bar",
    "this_close": "A signal on a bar's close is filled at that same close, which nobody can do",
}
TILES = {
    "total_return": "Total return",
    "cagr": "Yearly growth",
    "sharpe": "Sharpe ratio",
    "max_drawdown": "Drawdown",
    "trades": "Trades",
    "win_rate": "Won",
}


def html_page(run: BacktestOutcome) -> str:
    """The whole page."""
    parts = breakdown(run)
    trades, rows = trade_list(next(iter(run.results.values())).get("trades"))
    return page(
        "report.html",
        f"{run.name}: backtest",
        name=escape(run.name),
        facts=_facts(run),
        agreement=_agreement(run),
        warnings="".join(f'<p class="{kind}">{escape(text)}</p>' for kind, text in run.warnings()),
        tiles=_tiles(run),
        legend=_legend(run),
        equity=placed("equity", f"{_equity_chart(run)}<h2>Drawdown</h2>{_drawdown_chart(run)}", "Equity and drawdown"),
        words=in_words(run.strategy),
        doubts=doubts_section(doubts(run, parts)),
        metrics=_metrics_table(run),
        overfitting=_overfitting(run),
        panels=panels(run) + breakdown_sections(run, parts),
        trades=f"<section><h2>Trades</h2>{trades}</section>" if trades else "",
        interactive=interactive(run, rows),
        cuts=order_tables(run.results, "cuts", "Cut orders", "No order was cut."),
        pending=order_tables(run.results, "pending", "Pending orders", "No order is pending."),
        execution=_execution_table(run),
        rule=RULES[run.strategy.execution.price],
    )


def shown(value: Any, kind: str) -> str:
    """A metric as text; undefined is a dash."""
    if value is None:
        return NOTHING
    if kind == PERCENT:
        return f"{value:.2%}".replace("%", "\u00a0%")
    if kind == MONEY:
        return money(value)
    whole = kind == COUNT or (kind == DAYS and value >= SHORT_DAYS)
    return f"{value:,.0f}" if whole else f"{value:,.2f}"


def _facts(run: BacktestOutcome) -> str:
    opens = run.opens()
    symbols = ", ".join(run.symbols[:6]) + (f" and {len(run.symbols) - 6} more" if len(run.symbols) > 6 else "")
    facts = [
        f"{opens[0]:%Y-%m-%d} to {opens[-1]:%Y-%m-%d}",
        f"{counted(run.bars, 'bar')} of {run.strategy.interval}",
        symbols,
        counted(run.signals, "signal"),
    ]
    hashed = f"<span>configuration <code>{escape(run.config_hash)}</code></span>" if run.config_hash else ""
    return "".join(f"<span>{escape(fact)}</span>" for fact in facts) + hashed


def _agreement(run: BacktestOutcome) -> str:
    verdicts = agreements(run.results, run.strategy.execution.capital)
    return "".join(f'<p class="{"good" if one.agree else "bad"}">{escape(one.text)}</p>' for one in verdicts)


def _tiles(run: BacktestOutcome) -> str:
    metrics = next(iter(run.results.values()))["metrics"]
    tiles = []
    for name, label in TILES.items():
        value = metrics.get(name)
        low = ' class="low"' if isinstance(value, float) and value < 0 else ""
        tiles.append(f"<div><dt>{label}</dt><dd{low}>{shown(value, METRICS[name][1])}</dd></div>")
    return "".join(tiles)


def _legend(run: BacktestOutcome) -> str:
    entries = [(f"engine{number % 3}", key) for number, key in enumerate(run.results)] + [("hold", "buy and hold")]
    return "".join(f'<li><i class="{style}"></i>{escape(text)}</li>' for style, text in entries)


def _lines(run: BacktestOutcome, of: Any) -> list[Line]:
    """Buy and hold first, so that the engines are drawn over it."""
    index = run.benchmark.index
    engines = [
        Line(f"engine{number % 3}", of(equity_of(result).reindex(index).to_numpy(np.float64)))
        for number, result in enumerate(run.results.values())
    ]
    return [Line("hold", of(run.benchmark.to_numpy(np.float64))), *engines]


def _equity_chart(run: BacktestOutcome) -> str:
    return chart(_lines(run, lambda values: values), run.opens(), plain)


def _drawdown_chart(run: BacktestOutcome) -> str:
    capital = run.strategy.execution.capital
    lines = _lines(run, lambda values: values / np.maximum.accumulate(np.fmax(values, capital)) - 1.0)
    return chart(lines, run.opens(), lambda value: f"{100 * value:.3g} %", filled=True)


def _metrics_table(run: BacktestOutcome) -> str:
    columns = {key: result["metrics"] for key, result in run.results.items()} | {"buy and hold": run.benchmark_metrics}
    head = "".join(f"<th>{escape(key)}</th>" for key in columns)
    body = "".join(
        f"<tr><th>{label}</th>{''.join(f'<td>{shown(each.get(name), kind)}</td>' for each in columns.values())}</tr>"
        for name, (label, kind) in METRICS.items()
    )
    table = f'<table class="metrics"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def _overfitting(run: BacktestOutcome) -> str:
    """How far the Sharpe ratio is to be believed, by how often one has tried."""
    if run.verdict is None:
        return "<p class=quiet>This run was not counted in a ledger of trials.</p>"
    return overfitting_table(run.verdict)


def overfitting_table(verdict: TrialVerdict) -> str:
    """The numbers of a verdict."""
    probability = [
        ("Sharpe ratio above 0 (probabilistic Sharpe ratio)", verdict.probabilistic),
        ("Above the best that luck gives in so many trials (deflated Sharpe ratio)", verdict.deflated),
        ("Backtest overfitting (PBO; of a sweep)", verdict.overfitting),
    ]
    rows = [("Configurations tried, in all runs", f"{verdict.trials:,} in {verdict.runs:,}")]
    rows += [(f"Probability: {label}", shown(value, PERCENT)) for label, value in probability]
    needed = NOTHING if verdict.minimum_bars is None else f"{verdict.minimum_bars:,.0f} of {verdict.bars:,}"
    rows.append(("Minimum track record for 95\u00a0% confidence: bars needed, of bars available", needed))
    body = "".join(f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in rows)
    return f'<table class="believe"><tbody>{body}</tbody></table>'


def _execution_table(run: BacktestOutcome) -> str:
    rows = "".join(
        f"<tr><th>{name.replace('_', ' ')}</th><td>{escape(_plain(value))}</td></tr>"
        for name, value in run.strategy.execution.model_dump().items()
        if name != "i_know_this_looks_ahead"
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.10g}" if isinstance(value, float) else str(value).replace("_", " ")
