"""What the first engine's result is made of: drawdowns, the benchmark, sides, costs, times, regimes, predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backtest.report.analysis.benchmark import beside_benchmark
from backtest.report.analysis.costs import break_even, cost_split
from backtest.report.analysis.drawdowns import worst_drawdowns
from backtest.report.analysis.predictions import deciles
from backtest.report.analysis.regimes import regimes
from backtest.report.analysis.trades import by_exit, by_hour, by_side, by_weekday, concentration
from backtest.report.outcome import BacktestOutcome, equity_of
from backtest.report.sections.tables import amount, day, number, pairs, percent, table, whole

LONGEST_WINDOW = 60
OF_TRADES = {
    "trades": ("trades", whole), "won": ("won", percent), "gain": ("gain", amount), "mean": ("a trade", amount),
    "profit_factor": ("profit factor", number), "bars": ("median bars held", whole), "longest": ("longest", whole),
}  # fmt: skip


@dataclass(frozen=True)
class Breakdown:
    """All of it, as numbers."""

    drawdowns: pd.DataFrame
    benchmark: dict[str, float | None]
    sides: pd.DataFrame
    exits: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame
    concentration: dict[str, Any]
    costs: dict[str, float]
    break_even: float | None
    regimes: pd.DataFrame
    deciles: pd.DataFrame
    prediction: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """For ``metrics.json``: tables as lists of rows, what is not known as None."""
        drawdowns = self.drawdowns.astype(dict.fromkeys(("peak", "bottom", "recovered"), str)).replace("NaT", None)
        tables = {"drawdowns": drawdowns} | {
            name: getattr(self, name).reset_index(names="name")
            for name in ("sides", "exits", "hours", "weekdays", "regimes", "deciles")
        }
        rows = {name: _records(each) for name, each in tables.items()}
        single = ("benchmark", "concentration", "costs", "break_even", "prediction")
        return rows | {name: getattr(self, name) for name in single}


def breakdown(run: BacktestOutcome) -> Breakdown:
    """Of the first engine's result; what it does not have is empty."""
    result = next(iter(run.results.values()))
    execution, zone = run.strategy.execution, "UTC"
    equity = equity_of(result).reindex(run.benchmark.index).ffill()
    returns, market = _returns(equity, execution.capital), _returns(run.benchmark, execution.capital)
    periods = result["metrics"].get("periods_per_year") or float("nan")
    trades, fills = _complete(result.get("trades")), result.get("fills")
    if fills is not None and not len(fills):
        fills = None
    window = min(LONGEST_WINDOW, max(len(returns) // 10, 2))
    table_of_deciles, prediction = (
        deciles(run.decisions, run.prices, run.strategy.training.horizon_bars if run.strategy.model else 1)
        if run.decisions is not None and run.prices is not None
        else (pd.DataFrame(), {})
    )
    nothing = pd.DataFrame()
    return Breakdown(
        drawdowns=worst_drawdowns(equity.set_axis(run.opens()), execution.capital),
        benchmark=beside_benchmark(returns, market, periods),
        sides=nothing if trades is None else by_side(trades),
        exits=nothing if trades is None or fills is None else by_exit(trades, fills, run.decisions),
        hours=nothing if trades is None or not _within_days(run) else by_hour(trades, zone),
        weekdays=nothing if trades is None else by_weekday(trades, zone),
        concentration={} if trades is None else concentration(trades),
        costs={} if fills is None else cost_split(fills, execution, result.get("costs")),
        break_even=None if fills is None else break_even(fills, float(equity.iloc[-1]) - execution.capital),
        regimes=regimes(returns, market, window),
        deciles=table_of_deciles,
        prediction=prediction,
    )


def breakdown_sections(run: BacktestOutcome, parts: Breakdown) -> str:
    """Each a section; one that the result cannot fill is left out."""
    sections = [
        ("Worst drawdowns", _drawdowns(parts)),
        ("Beside buying and holding", _benchmark(parts)),
        ("Long and short", _if(parts.sides, OF_TRADES)),
        ("Costs", _costs(run, parts)),
        ("By what ended the trade", _if(parts.exits, OF_TRADES)),
        ("By hour of entry (UTC)", _if(parts.hours, OF_TRADES)),
        ("By weekday of entry (UTC)", _if(parts.weekdays, OF_TRADES)),
        ("By what the market had done", _regimes(parts)),
        ("Predictions and what came after", _deciles(parts)),
    ]
    return "".join(
        f'<section class="lower"><h2>{title}</h2>{content}</section>' for title, content in sections if content
    )


def _returns(equity: "pd.Series[float]", capital: float) -> Any:
    values = np.concatenate([[capital], equity.to_numpy(np.float64)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return values[1:] / values[:-1] - 1.0


def _complete(trades: pd.DataFrame | None) -> pd.DataFrame | None:
    """Trades with what the tables need; an engine of others may give less."""
    wanted = {"symbol", "direction", "entry_time", "exit_time", "pnl", "bars"}
    return trades if trades is not None and len(trades) and wanted <= set(trades) else None


def _within_days(run: BacktestOutcome) -> bool:
    return len(set(run.opens().hour)) > 1


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }
        for row in rows.astype(object).to_dict("records")
    ]


def _if(rows: pd.DataFrame, columns: Any) -> str:
    return table(rows, columns) if len(rows) else ""


def _drawdowns(parts: Breakdown) -> str:
    columns = {
        "depth": ("depth", percent), "peak": ("peak", day), "bottom": ("bottom", day), "recovered": ("back at", day),
        "bars": ("bars", whole), "days": ("days", whole),
    }  # fmt: skip
    if not len(parts.drawdowns):
        return ""
    return table(parts.drawdowns.set_axis(range(1, len(parts.drawdowns) + 1)), columns)


def _benchmark(parts: Breakdown) -> str:
    known = parts.benchmark
    if known["correlation"] is None:
        return ""
    return pairs(
        {
            "Alpha, yearly": percent(known["alpha"]),
            "Beta": number(known["beta"]),
            "Correlation": number(known["correlation"]),
            "Tracking error, yearly": percent(known["tracking_error"]),
            "Information ratio": number(known["information_ratio"]),
        }
    )


def _costs(run: BacktestOutcome, parts: Breakdown) -> str:
    if not parts.costs:
        return ""
    capital = run.strategy.execution.capital
    rows = {
        f"{name.replace('_', ' ').capitalize()}": f"{amount(value)} ({percent(value / capital)} of the capital)"
        for name, value in parts.costs.items()
    }
    rows["More that each traded notional could cost until the gain is gone"] = (
        "there is no gain" if parts.break_even is None else percent(parts.break_even)
    )
    return pairs(rows)


def _regimes(parts: Breakdown) -> str:
    columns = {
        "bars": ("bars", whole), "share": ("share", percent), "strategy": ("strategy", percent),
        "benchmark": ("buy and hold", percent),
    }  # fmt: skip
    note = '<p class="quiet">By mean and volatility of buying and holding in the bars before; compounded.</p>'
    return table(parts.regimes, columns) + note if len(parts.regimes) else ""


def _deciles(parts: Breakdown) -> str:
    if not len(parts.deciles):
        return ""
    columns = {
        "count": ("predictions", whole), "prediction": ("mean prediction", lambda value: f"{value:.4g}"),
        "return": ("mean return", lambda value: f"{100 * value:.4f}\u00a0%"),
    }  # fmt: skip
    numbers = parts.prediction
    coefficient, order = number(numbers["information_coefficient"]), number(numbers["monotonicity"])
    note = (
        f'<p class="quiet">Ten buckets, the lowest predictions first; returns from the next open on, over'
        f" {numbers['horizon']} bars. Rank correlation of all {numbers['pairs']:,} pairs: {coefficient}; of the"
        f" buckets: {order} (1: each bucket is followed by more than the one before).</p>"
    )
    return table(parts.deciles, columns) + note
