"""What a model learns: the outcome of a trade as it could be made, and when that is known.

All count bars of the symbol, not time. A target whose bars lie further apart in the market's time than
`training.max_span_bars` reaches across a gap in the data, and is none. A decision at the close of bar t is entered at
the open of bar t + 1, as the execution contract has it.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sources.market_time import market_steps
from plugins.base.bars import times_of
from plugins.fold.exact_windows import rolling_moments
from schemas.configuration import Strategy, Training
from schemas.wire import spacing_ms

Target = tuple["pd.Series[float]", "pd.Series[int]"]
"""The target of each row, NaN where it is not known; and the time (ms) at which it is, -1 where it is not."""


def target_of(bars: pd.DataFrame, index: pd.MultiIndex, training: Training) -> Target:
    """The target that the configuration names, for each bar of `index` (symbol, time of the close)."""
    if training.target == "triple_barrier":
        return triple_barrier(bars, index, training)
    target, known = forward_return(bars, index, training.horizon_bars)
    if training.target == "forward_direction":
        target = pd.Series(np.sign(target.to_numpy(np.float64)), index, name="forward_direction")
    return target, known


def targets_of(bars: pd.DataFrame, index: pd.MultiIndex, strategy: Strategy) -> tuple[Target, NDArray[np.bool_]]:
    """`target_of` without targets that reach across a gap of the data; and for which rows that was so."""
    target, known = target_of(bars, index, strategy.training)
    across = across_gaps(index, strategy) & target.notna().to_numpy()
    return (target.mask(across), known.mask(across, -1)), across


def across_gaps(index: pd.MultiIndex, strategy: Strategy) -> NDArray[np.bool_]:
    """For which bars of `index` (symbol, time of the close) the bars that its target counts span more of the market's
    time than `training.max_span_bars`, by default twice as much as they would without a gap.
    """
    training = strategy.training
    ahead = training.horizon_bars + (0 if training.target == "triple_barrier" else 1)
    limit = training.max_span_bars or 2 * ahead
    across, closes = np.zeros(len(index), np.bool_), times_of(index)
    for rows in pd.Series(np.arange(len(index))).groupby(pd.factorize(index.get_level_values(0))[0]).indices.values():
        steps = market_steps(closes[rows], spacing_ms(strategy.interval), strategy.execution.calendar)
        passed = np.concatenate([[0.0], np.cumsum(steps)])
        across[rows[:-ahead]] = passed[ahead:] - passed[:-ahead] > limit
    return across


def forward_return(bars: pd.DataFrame, index: pd.MultiIndex, horizon_bars: int) -> Target:
    """The return of a trade as it can be made, for each bar of `index` (symbol, time), and when it is known (ms).

    ``open[t + 1 + h] / open[t + 1] - 1``: decided at the close of bar t, entered at the same symbol's next open, left
    at the open h bars later. NaN for a symbol's last h + 1 bars. It is known at the open of bar t + 1 + h.
    """
    rows = _rows(bars, index)
    opens, opened = rows.groupby(level=0, sort=False)["open"], rows.groupby(level=0, sort=False)["open_time"]
    target = opens.shift(-1 - horizon_bars) / opens.shift(-1) - 1.0
    return target.rename("forward_return"), opened.shift(-1 - horizon_bars, fill_value=-1).rename("known")


def triple_barrier(bars: pd.DataFrame, index: pd.MultiIndex, training: Training) -> Target:
    """Which barrier the price touches first: 1 the upper (profit taking), -1 the lower (stop loss), 0 neither.

    Entered at ``open[t + 1]``; the barriers are ``entry * (1 + profit_taking * v)`` and
    ``entry * (1 - stop_loss * v)``, v the sample standard deviation of the last `volatility_bars` simple returns from
    close to close, bar t's included.
    Bars t + 1 … t + h are watched: a high at or above the upper barrier touches it, a low at or below the lower one.
    Where one bar touches both, the order within it is not known, and the worse is assumed: -1.

    It is known at the close of the bar that touches, or of bar t + h. NaN where fewer than h bars follow, touched or
    not: of those only the touched would be known, which are not like the others. NaN too where v is unknown or 0.

    References
    ----------
    M. López de Prado, Advances in Financial Machine Learning, Wiley 2018, chapter 3 (there the label at the vertical
    barrier is the sign of the return, or 0; here 0).
    """
    rows = _rows(bars, index)
    symbols = rows.groupby(level=0, sort=False)
    returns = rows["close"] / symbols["close"].shift(1) - 1.0
    volatility = (
        returns.groupby(level=0, sort=False)
        .transform(lambda own: rolling_moments(own.to_numpy(), training.volatility_bars)[1])
        .to_numpy()
    )
    entry = symbols["open"].shift(-1).to_numpy()
    upper = (
        entry * (1.0 + training.profit_taking * volatility) if training.profit_taking else np.full(len(rows), np.inf)
    )
    lower = entry * (1.0 - training.stop_loss * volatility) if training.stop_loss else np.full(len(rows), -np.inf)
    label, known = np.zeros(len(rows)), np.full(len(rows), -1, np.int64)
    closed = pd.Series(times_of(index), index).groupby(level=0, sort=False)
    waiting = np.ones(len(rows), np.bool_)
    for ahead in range(1, training.horizon_bars + 1):
        stopped = waiting & (symbols["low"].shift(-ahead).to_numpy() <= lower)
        taken = waiting & ~stopped & (symbols["high"].shift(-ahead).to_numpy() >= upper)
        label[stopped], label[taken] = -1.0, 1.0
        at = closed.shift(-ahead, fill_value=-1).to_numpy()
        decided = stopped | taken | (waiting if ahead == training.horizon_bars else False)
        known[decided] = at[decided]
        waiting &= ~decided
    whole = np.isfinite(symbols["open"].shift(-training.horizon_bars).to_numpy()) & (volatility > 0)
    known[~whole] = -1
    return pd.Series(np.where(whole, label, np.nan), index, name="triple_barrier"), pd.Series(
        known, index, name="known"
    )


def last_return(bars: pd.DataFrame, index: pd.MultiIndex, training: Training) -> "pd.Series[float]":
    """What is predicted by who expects the last `horizon_bars` to go on: ``close[t] / close[t - h] - 1``, or its sign
    where the target is one. 0 while the symbol has fewer bars.
    """
    closes = _rows(bars, index)["close"]
    before = closes.groupby(level=0, sort=False).shift(training.horizon_bars)
    returns = (closes / before - 1.0).fillna(0.0).to_numpy(np.float64)
    return pd.Series(returns if training.target == "forward_return" else np.sign(returns), index, name="last_return")


def _rows(bars: pd.DataFrame, index: pd.MultiIndex) -> pd.DataFrame:
    """The bar of each row of `index`: of bars that come twice the first, as live."""
    columns = ["open", "high", "low", "close", "open_time"]
    first = bars.drop_duplicates(["symbol", "close_time"]).set_index(["symbol", "close_time"])
    keys = pd.MultiIndex.from_arrays([index.get_level_values(0), times_of(index)])
    return first[[name for name in columns if name in first]].reindex(keys).set_axis(index)
