"""What a backtest comes to, in numbers: the same for every engine.

Returns are simple, from bar to bar of the equity curve. Undefined (no losing trade, no variance, too few bars) is
None, never 0 or infinity. All fractions are plain (0.1 is 10 %), money is in the unit of the capital.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.market_calendar import AUTO
from plugins.engines.results.sessions import DAYS_OF_YEAR, periods_per_year

FloatArray = NDArray[np.float64]

ROUNDING = 1e-14
"""Equal returns differ by so much at most, since they are ratios of rounded numbers: that is no variance."""

YEAR = pd.Timedelta(days=DAYS_OF_YEAR)

Metrics = dict[str, float | int | None]


def metrics(
    equity_curve: pd.DataFrame,
    trades: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    capital: float,
    interval_ms: int | None = None,
    calendar: str = AUTO,
    risk_free: float = 0.0,
    periods: float | None = None,
) -> Metrics:
    """All metrics of one run.

    Parameters
    ----------
    equity_curve
        equity, long and short, by time.
    trades, fills
        As an engine returns them (`plugins.engines.results.frames`): pnl of the trades; size, price and commission of
        the fills.
    capital
        Equity before the first bar.
    interval_ms
        Length of a bar, when it is known; 0: no time closes it.
    calendar
        The market's, by which a year has bars; see `plugins.engines.results.sessions.periods_per_year`.
    risk_free
        Yearly rate; a bar's is ``(1 + risk_free) ** (1 / periods) - 1``.
    periods
        Bars in a year; None: `plugins.engines.results.sessions.periods_per_year` of the curve's own times.

    Returns
    -------
    dict
        ``final_equity``, ``total_return``; ``cagr`` (years: returns over bars per year, or the time from the first bar
        to the last where that is longer, as it is over a hole in the data), ``volatility``
        (sample std, yearly), ``sharpe``, ``sortino`` (downside deviation over all returns), ``calmar`` (cagr over the
        drawdown's size); ``max_drawdown`` (a negative fraction of the peak), ``max_drawdown_bars`` and
        ``max_drawdown_days`` (from that peak until equity is back there, or the data ends); ``var_95``, ``var_99``,
        ``cvar_95``, ``cvar_99`` (historical, returns of one bar, losses negative); ``trades``, ``win_rate``,
        ``profit_factor``, ``average_win``, ``average_loss`` (negative), ``expectancy`` (mean profit), ``turnover``
        (traded notional over mean equity, yearly), ``bars_in_market``, ``exposure`` (mean of gross exposure over
        equity), ``commission`` (paid in all), ``fills``, ``bars``, ``periods_per_year``.

    References
    ----------
    empyrical-reloaded computes the same from the returns, and the tests compare with it.
    """
    times = pd.DatetimeIndex(equity_curve.index)
    periods = periods_per_year(times, interval_ms, calendar) if periods is None else periods
    size, price = (fills[name].to_numpy(np.float64) for name in ("size", "price"))
    return measures(
        times,
        equity_curve["equity"].to_numpy(np.float64),
        (equity_curve["long"] - equity_curve["short"]).to_numpy(np.float64),
        Traded(trades["pnl"].to_numpy(np.float64), np.abs(size) * price, fills["commission"].to_numpy(np.float64)),
        Scale(capital, periods, risk_free),
    )


class Traded(NamedTuple):
    """Profits of the trades; notionals and commissions of the fills."""

    pnl: FloatArray
    notional: FloatArray
    commission: FloatArray


class Scale(NamedTuple):
    """What amounts and returns are measured by."""

    capital: float
    periods: float
    risk_free: float


def measures(times: pd.DatetimeIndex, equity: FloatArray, gross: FloatArray, traded: Traded, scale: Scale) -> Metrics:
    """`metrics` of arrays; `gross` is the value of long and short positions without their signs."""
    capital, periods, risk_free = scale
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = equity[1:] / equity[:-1] - 1.0
    years = max(len(returns) / periods, (times[-1] - times[0]) / YEAR)
    growth = _growth(float(equity[-1]) / capital, years)
    drawdown, drawdown_bars, drawdown_days = max_drawdown(times, equity, capital)
    values: Mapping[str, Any] = {
        "final_equity": equity[-1],
        "total_return": equity[-1] / capital - 1.0,
        "cagr": growth,
        **_risk(returns, periods, risk_free),
        "calmar": growth / -drawdown if growth is not None and drawdown < 0 else None,
        "max_drawdown": drawdown,
        "max_drawdown_bars": drawdown_bars,
        "max_drawdown_days": drawdown_days,
        **_trading(traded.pnl),
        "turnover": _ratio(float(traded.notional.sum()), float(equity.mean()) * years),
        "bars_in_market": int((gross > 0).sum()),
        "exposure": float((gross / equity).mean()) if (equity > 0).all() else None,
        "commission": traded.commission.sum(),
        "fills": len(traded.notional),
        "bars": len(equity),
        "periods_per_year": periods,
    }
    return {name: _plain(value) for name, value in values.items()}


def max_drawdown(times: pd.DatetimeIndex, equity: FloatArray, capital: float) -> tuple[float, int, float]:
    """The deepest fall below an earlier peak (the capital is one): a negative fraction, its length in bars and in days.

    The length goes from the peak to the first bar that is back at it, or to the end of the data.
    """
    path = np.concatenate([[capital], equity])
    peaks = np.maximum.accumulate(path)
    falls = path / peaks - 1.0
    bottom = int(falls.argmin())
    if falls[bottom] >= 0.0:
        return 0.0, 0, 0.0
    peak = int(np.flatnonzero(path[: bottom + 1] == peaks[bottom])[-1])
    back = np.flatnonzero(path[bottom:] >= peaks[bottom])
    end = bottom + int(back[0]) if len(back) else len(path) - 1
    first, last = max(peak - 1, 0), end - 1
    return float(falls[bottom]), last - first, (times[last] - times[first]) / pd.Timedelta(days=1)


def _risk(returns: FloatArray, periods: float, risk_free: float) -> dict[str, float | None]:
    excess = returns - ((1.0 + risk_free) ** (1.0 / periods) - 1.0)
    yearly = math.sqrt(periods)
    known = len(returns) > 1 and bool(np.isfinite(returns).all())
    spread = float(returns.std(ddof=1)) if known else None
    if spread is not None and spread < ROUNDING:
        spread = 0.0
    downside = math.sqrt(float((np.minimum(excess, 0.0) ** 2).mean())) if known else None
    mean = float(excess.mean()) if known else None
    tails = (
        {f"{kind}_{level}": None for kind in ("var", "cvar") for level in (95, 99)} if not known else _tails(returns)
    )
    return {
        "volatility": None if spread is None else spread * yearly,
        "sharpe": None if mean is None else _ratio(mean * yearly, spread),
        "sortino": None if mean is None else _ratio(mean * yearly, downside),
        **tails,
    }


def _tails(returns: FloatArray) -> dict[str, float | None]:
    """Historical value at risk (a percentile, interpolated) and expected shortfall.

    The shortfall is the mean of the worst ``floor((n - 1) * q) + 1`` returns.
    """
    ordered = np.sort(returns)
    tails: dict[str, float | None] = {}
    for level in (95, 99):
        share = (100 - level) / 100
        tails[f"var_{level}"] = float(np.percentile(returns, 100 - level))
        tails[f"cvar_{level}"] = float(ordered[: int((len(ordered) - 1) * share) + 1].mean())
    return tails


def _trading(pnl: FloatArray) -> dict[str, float | int | None]:
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    return {
        "trades": len(pnl),
        "win_rate": _ratio(len(wins), len(pnl)),
        "profit_factor": _ratio(float(wins.sum()), -float(losses.sum())),
        "average_win": _ratio(float(wins.sum()), len(wins)),
        "average_loss": _ratio(float(losses.sum()), len(losses)),
        "expectancy": _ratio(float(pnl.sum()), len(pnl)),
    }


def _growth(factor: float, years: float) -> float | None:
    """Yearly growth; None for a span without length, or when everything and more was lost."""
    if years <= 0.0 or factor < 0.0:
        return None
    try:
        return float(factor ** (1.0 / years) - 1.0)
    except OverflowError:
        return None


def _ratio(above: float, below: float | None) -> float | None:
    return above / below if below else None


def _plain(value: Any) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
