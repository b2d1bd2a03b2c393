"""The strategy and its model in words, and what to doubt first."""

from collections.abc import Iterator
from html import escape
from typing import Any

from backtest.report.outcome import SHORT_DAYS, BacktestOutcome, counted
from backtest.report.sections.breakdown import Breakdown
from schemas.configuration import Strategy

TARGETS = {
    "forward_return": "the return of the next {} bars",
    "forward_direction": "whether the price is higher in {} bars",
    "triple_barrier": "which barrier the price meets first within {} bars",
}
FEW_TRADES, FEW_BARS = 30, 250
MUCH = 0.5
"""A share of the gain that hangs on one thing."""
NOTHING_FOUND = (
    "Nothing of what was looked for: luck, costs, few trades, a gain that hangs on one symbol or on few trades,"
    " predictions without order, the market, a short history."
)
LUCK = 0.95
"""Probability that a result is above what luck gives, below which it is doubted."""


def in_words(strategy: Strategy) -> str:
    """What it looks at, what predicts, how it decides and how it trades: one list."""
    universe = strategy.universe
    listed = ", ".join(map(str, universe[:6])) if isinstance(universe, list) else "its universe"
    symbols = "every symbol" if universe == "*" else listed
    parts = {
        "Looks at": f"bars of {strategy.interval}, of {symbols}",
        "Features": "; ".join(_used(use) for use in strategy.features),
        "Predicts": _model(strategy),
        "Decides": _used(strategy.signal),
        "Trades": _trading(strategy),
    }
    rows = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in parts.items())
    return f'<table class="words"><tbody>{rows}</tbody></table>'


def doubts(run: BacktestOutcome, parts: Breakdown) -> list[str]:
    """What to doubt first, the gravest first; each a sentence with its number."""
    return list(_doubts(run, parts))


def doubts_section(found: list[str]) -> str:
    """As a list; where nothing was found it says what was looked for."""
    if not found:
        return f"<p>{NOTHING_FOUND}</p>"
    return f"<ol>{''.join(f'<li>{escape(text)}</li>' for text in found)}</ol>"


def _doubts(run: BacktestOutcome, parts: Breakdown) -> Iterator[str]:
    metrics = next(iter(run.results.values()))["metrics"]
    if run.strategy.execution.price == "this_close":
        yield "Orders fill at the very close that decided them: nobody can trade like that."
    for note in run.notes:
        if "in sample" in note:
            yield note
    yield from _of_luck(run)
    trades, bars = metrics.get("trades") or 0, metrics.get("bars") or 0
    if trades < FEW_TRADES:
        yield f"{counted(int(trades), 'trade')}: too few to tell skill from luck."
    if parts.break_even is not None:
        paid = run.strategy.execution.commission + run.strategy.execution.slippage
        if parts.break_even < paid:
            yield (
                f"Costs decide: the gain is gone when each traded notional costs {parts.break_even:.3%} more; it pays"
                f" {paid:.3%} now."
            )
    if parts.concentration:
        if parts.concentration["best_five"] > MUCH and trades > 2 * 5:
            yield f"Five of {int(trades):,} trades make {parts.concentration['best_five']:.0%} of the gain."
        share = parts.concentration["symbol_share"]
        if len(run.symbols) > 1 and share > MUCH:
            yield f"{parts.concentration['best_symbol']} alone makes {share:.0%} of the gain."
    monotone = parts.prediction.get("monotonicity")
    if monotone is not None and monotone < MUCH:
        yield f"Higher predictions are hardly followed by higher returns (rank correlation of deciles: {monotone:.2f})."
    beta = parts.benchmark["beta"]
    if beta is not None and beta > MUCH:
        yield f"Much of it is the market: beta {beta:.2f} to buying and holding."
    days = (run.benchmark.index[-1] - run.benchmark.index[0]).days
    if days < SHORT_DAYS or bars < FEW_BARS:
        yield f"A history of {counted(int(bars), 'bar')} over {counted(days, 'day')} has seen few kinds of market."


def _of_luck(run: BacktestOutcome) -> Iterator[str]:
    verdict = run.verdict
    if verdict is None:
        return
    if verdict.trials > 1 and verdict.deflated is not None and verdict.deflated < LUCK:
        yield (
            f"Luck may explain it: {verdict.trials:,} configurations were tried, and with a probability of only"
            f" {verdict.deflated:.0%} the Sharpe ratio is above the best that luck gives in so many."
        )
    elif verdict.probabilistic is not None and verdict.probabilistic < LUCK:
        probability = f"{verdict.probabilistic:.0%}"
        yield f"Luck may explain it: with a probability of only {probability} the Sharpe ratio is above 0."


def _used(use: Any) -> str:
    values = use.model_dump(exclude_defaults=True)
    key = values.pop("key")
    own = values.pop("params", {}) | values
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in own.items())
    return f"{key} ({settings})" if settings else key


def _model(strategy: Strategy) -> str:
    if strategy.model is None:
        return f"no model: the column {strategy.prediction} is the prediction"
    target = TARGETS[strategy.training.target].format(strategy.training.horizon_bars)
    return f"{strategy.model.artifact}, trained on {target}"


def _trading(strategy: Strategy) -> str:
    execution = strategy.execution
    when = execution.price.replace("_", " ")
    side = "long only" if execution.long_only else "long and short"
    return (
        f"{side}, {execution.weight:.0%} of equity a symbol and at most {execution.leverage:.0%} in all, at the {when};"
        f" commission {execution.commission:.3%}, slippage {execution.slippage:.3%}"
    )


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
