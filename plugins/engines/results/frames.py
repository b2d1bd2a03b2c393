"""From what an engine did to the frames that it returns: one code for all engines.

Frames
------
fills
    time (when it traded: the bar's open for ``next_open`` where the prices have `open_time` or the engine knows the
    `interval`, else the bar's own time), bar (the bar's time: its close), symbol, signal_time (the bar whose close
    decided it), part (reduce or open), size (signed shares), price, commission, cash and position (both after it).
trades
    Round trips, one for each fill that reduces a position: symbol, direction (long or short), size, entry_time (when
    the position was opened), entry_price (average cost of the position), exit_time, exit_price, commission (of the
    exit and, in proportion, of the entries), pnl (net of it), return (pnl over size times entry price), bars (of the
    symbol, from entry to exit).
equity_curve
    By time of the bars: equity, cash, long and short (value of the positions at their last closes, short negative).
positions
    By time of the bars: shares held after that bar's fills, one column for each symbol.
cuts
    What could not be filled: time, bar, symbol, signal_time, part, wanted and filled (signed shares), reason.
pending
    Orders that the data ended before: symbol, signal_time, weight, size.
below_lot
    Decisions whose target is less than one lot, so that it is no position at all: symbol, signal_time, weight.
warnings
    What a reader must know of the data and the orders, in sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.engines.market import FloatArray, IntArray, Market
from plugins.engines.results.cautions import decisions_below_lot, warnings
from plugins.engines.results.exposures import exposures
from plugins.engines.results.metrics import Metrics, Scale, Traded, measures, metrics
from plugins.engines.results.round_trips import round_trips
from schemas.configuration import Execution
from schemas.wire import bar_length

FILL = np.dtype(
    [
        ("row", "i8"), ("symbol", "i8"), ("decided", "i8"), ("opens", "?"), ("lots", "i8"), ("mark", "f8"),
        ("price", "f8"), ("commission", "f8"), ("cash", "f8"), ("position", "i8"),
    ], align=True
)  # fmt: skip
"""One fill: its row and symbol, the row that decided it, the part of the order, the price before and after what
worsened it, and cash and position after it.
"""
CUT = np.dtype(
    [
        ("row", "i8"), ("symbol", "i8"), ("decided", "i8"), ("opens", "?"), ("wanted", "i8"), ("filled", "i8"),
        ("reason", "i8"),
    ], align=True
)  # fmt: skip
"""What was not filled of a part of an order; `reason` is its place in `REASONS`."""
PENDING = np.dtype([("symbol", "i8"), ("decided", "i8"), ("weight", "f8"), ("lots", "i8")], align=True)
"""An order that is still waiting at the end."""
LIMIT, NO_CASH, FOLLOWED = 0, 1, 2
REASONS = ("limit of exposure", "not enough cash to buy back", "what it should follow was cut")
PARTS = ("reduce", "open")

Records = NDArray[np.void]


@dataclass(frozen=True)
class EngineLog:
    """What an engine wrote down: its fills, cuts and pending orders in order (`FILL`, `CUT`, `PENDING`; rows and
    symbols by number, sizes in lots), and after each row the cash, and the value of all positions.
    """

    fills: Records
    cuts: Records
    pending: Records
    cash: FloatArray
    net: FloatArray

    @property
    def equity(self) -> FloatArray:
        return self.cash + self.net


def result(
    market: Market, log: EngineLog, execution: Execution, interval: str | None, risk_free: float
) -> dict[str, Any]:
    """The dictionary that ``run`` returns."""
    clock = _Clock(market, execution, interval)
    fills = _fills(market, log, clock)
    positions = _positions(market, log)
    closes = market.closes()
    long, short = exposures(market, log.fills)
    equity = pd.DataFrame({"equity": log.equity, "cash": log.cash, "long": long, "short": short}, index=market.times)
    trades = _trades(market, log, clock)
    looks_ahead = execution.price == "this_close"
    known = _before_fills(log, execution, positions.to_numpy(), closes) if looks_ahead else log.equity
    below_lot = decisions_below_lot(market, known, closes)
    length = bar_length(interval) if interval else None
    return {
        "trades": trades,
        "equity_curve": equity,
        "metrics": metrics(
            equity,
            trades,
            fills,
            capital=execution.capital,
            interval_ms=length,
            calendar=execution.calendar,
            risk_free=risk_free,
        ),
        "fills": fills,
        "positions": positions,
        "cuts": _cuts(market, log, clock),
        "pending": _pending(market, log),
        "below_lot": below_lot,
        "warnings": warnings(market, execution, below_lot),
    }


class _Clock:
    """When bars close, and when orders fill on them."""

    def __init__(self, market: Market, execution: Execution, interval: str | None) -> None:
        self.bars = market.times
        self._early = execution.price == "next_open"
        self._length = pd.Timedelta(milliseconds=bar_length(interval) if interval else 0)
        self._market = market

    def fills(self, rows: IntArray, symbols: IntArray) -> pd.DatetimeIndex:
        """When orders of the symbols filled that did so on the bars of these rows."""
        market, bars = self._market, self.bars[rows]
        if not self._early:
            return bars
        if market.opened is None:
            return bars - self._length
        count = len(market.symbols)
        places = np.searchsorted(market.row * count + market.symbol, rows * count + symbols)
        return pd.DatetimeIndex(market.opened[places].astype("datetime64[ms]"), tz="UTC")


def measured(market: Market, log: EngineLog, execution: Execution, periods: float, risk_free: float) -> Metrics:
    """The metrics of `result` alone."""
    long, short = exposures(market, log.fills)
    fills, trips = log.fills, round_trips(log.fills, market.lots)
    size = _shares(fills["lots"], market.lots[fills["symbol"]])
    return measures(
        market.times,
        log.equity,
        long - short,
        Traded(trips["pnl"].copy(), np.abs(size) * fills["price"], fills["commission"].copy()),
        Scale(execution.capital, periods, risk_free),
    )


def _fills(market: Market, log: EngineLog, clock: _Clock) -> pd.DataFrame:
    fills = log.fills
    lot = market.lots[fills["symbol"]]
    return pd.DataFrame({
        **_place(market, fills, clock),
        "size": _shares(fills["lots"], lot),
        "price": fills["price"],
        "commission": fills["commission"],
        "cash": fills["cash"],
        "position": _shares(fills["position"], lot),
    })  # fmt: skip


def _cuts(market: Market, log: EngineLog, clock: _Clock) -> pd.DataFrame:
    cuts = log.cuts
    lot = market.lots[cuts["symbol"]]
    return pd.DataFrame({
        **_place(market, cuts, clock),
        "wanted": _shares(cuts["wanted"], lot),
        "filled": _shares(cuts["filled"], lot),
        "reason": _names(REASONS, cuts["reason"]),
    })  # fmt: skip


def _place(market: Market, records: Records, clock: _Clock) -> dict[str, Any]:
    """The columns that say when, what and why."""
    return {
        "time": clock.fills(records["row"], records["symbol"]),
        "bar": clock.bars[records["row"]],
        "symbol": _names(market.symbols, records["symbol"]),
        "signal_time": clock.bars[records["decided"]],
        "part": _names(PARTS, records["opens"].astype(np.int64)),
    }


def _pending(market: Market, log: EngineLog) -> pd.DataFrame:
    pending = log.pending
    return pd.DataFrame({
        "symbol": _names(market.symbols, pending["symbol"]),
        "signal_time": market.times[pending["decided"]],
        "weight": pending["weight"],
        "size": _shares(pending["lots"], market.lots[pending["symbol"]]),
    })  # fmt: skip


def _shares(lots: Any, lot: FloatArray | float) -> FloatArray:
    """Lots as shares, without the last bits of the product: 33594624 lots of 1e-4 are 3359.4624."""
    rounded: FloatArray = np.round(np.asarray(lots, np.float64) * lot, 12)
    return rounded


def _names(names: Sequence[str], numbers: IntArray) -> "pd.Series[str]":
    return pd.Series(pd.Series(names, dtype=str).array.take(numbers))


def _positions(market: Market, log: EngineLog) -> pd.DataFrame:
    fills = log.fills
    lots = np.full((len(market.times), len(market.symbols)), np.nan)
    lots[0] = 0.0
    lots[fills["row"], fills["symbol"]] = fills["position"]  # of several in one place the last one stays
    held = pd.DataFrame(lots).ffill().to_numpy()
    return pd.DataFrame(_shares(held, market.lots), index=market.times, columns=market.symbols)


def _trades(market: Market, log: EngineLog, clock: _Clock) -> pd.DataFrame:
    trips = round_trips(log.fills, market.lots)
    size, price = trips["size"], trips["entry_price"]
    return pd.DataFrame({
        "symbol": _names(market.symbols, trips["symbol"]),
        "direction": _names(("short", "long"), (size > 0).astype(np.int64)),
        "size": _shares(np.abs(size), 1.0),
        "entry_time": clock.fills(trips["entry"], trips["symbol"]),
        "entry_price": price,
        "exit_time": clock.fills(trips["exit"], trips["symbol"]),
        "exit_price": trips["exit_price"],
        "commission": trips["commission"],
        "pnl": trips["pnl"],
        "return": trips["pnl"] / (np.abs(size) * price),
        "bars": _own_bars(market, trips["symbol"], trips["entry"], trips["exit"]),
    })  # fmt: skip


def _own_bars(market: Market, symbols: IntArray, begin: IntArray, end: IntArray) -> IntArray:
    """Bars of each symbol after row `begin` up to row `end`: other symbols' times are none of its own."""
    counted = np.zeros((len(market.times), len(market.symbols)), np.int32)
    counted[market.row, market.symbol] = 1
    np.cumsum(counted, axis=0, out=counted)
    bars: IntArray = (counted[end, symbols] - counted[begin, symbols]).astype(np.int64)
    return bars


def _before_fills(log: EngineLog, execution: Execution, positions: FloatArray, closes: FloatArray) -> FloatArray:
    """Equity at each row's closes with what was held before: what ``this_close`` decides by."""
    cash = np.concatenate([[execution.capital], log.cash[:-1]])
    held = np.concatenate([np.zeros_like(positions[:1]), positions[:-1]])
    before: FloatArray = cash + np.nan_to_num(held * closes).sum(axis=1)
    return before
