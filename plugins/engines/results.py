"""From what an engine did to the frames that it returns: one code for all engines.

Frames
------
fills
    time (when it traded: the bar's open for ``next_open`` where the engine knows the `interval`, else the bar's own
    time), bar (the bar's time: its close), symbol, signal_time (the bar whose close decided it), part (reduce or
    open), size (signed shares), price, commission, cash and position (both after it).
trades
    Round trips, one for each fill that reduces a position: symbol, direction (long or short), size, entry_time (when
    the position was opened), entry_price (average cost of the position), exit_time, exit_price, commission (of the
    exit and, in proportion, of the entries), pnl (net of it), return (pnl over size times entry price), bars (from
    entry to exit).
equity_curve
    By time of the bars: equity, cash, long and short (value of the positions at their last closes, short negative).
positions
    By time of the bars: shares held after that bar's fills, one column for each symbol.
cuts
    What could not be filled: time, bar, symbol, signal_time, part, wanted and filled (signed shares), reason.
pending
    Orders that the data ended before: symbol, signal_time, weight, size.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from plugins.engines.market import FloatArray, Market
from plugins.engines.metrics import metrics
from schemas.config import Execution
from schemas.messages import interval_ms


class Fill(NamedTuple):
    """One fill; rows and symbols by number, sizes in lots."""

    row: int
    symbol: int
    decided: int
    part: str
    lots: int
    price: float
    commission: float
    cash: float
    position: int


class Cut(NamedTuple):
    """What was not filled of an order or of its part."""

    row: int
    symbol: int
    decided: int
    part: str
    wanted: int
    filled: int
    reason: str


class Pending(NamedTuple):
    """An order that is still waiting at the end."""

    symbol: int
    decided: int
    weight: float
    lots: int


@dataclass
class Log:
    """What an engine wrote down: its fills, cuts and pending orders, and cash and equity after each row."""

    fills: list[Fill] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)


def result(market: Market, log: Log, execution: Execution, interval: str | None, risk_free: float) -> dict[str, Any]:
    """The dictionary that ``run`` returns."""
    clock = _Clock(market, execution, interval)
    fills = _fills(market, log, execution.lot, clock)
    positions = _positions(market, log, execution.lot)
    values = np.nan_to_num(positions.to_numpy() * market.closes())
    equity = pd.DataFrame(
        {
            "equity": log.equity,
            "cash": log.cash,
            "long": values.clip(min=0).sum(axis=1),
            "short": values.clip(max=0).sum(axis=1),
        },
        index=market.times,
    )
    trades = _trades(market, log, execution.lot, clock)
    length = interval_ms(interval) if interval else None
    return {
        "trades": trades,
        "equity_curve": equity,
        "metrics": metrics(equity, trades, fills, capital=execution.capital, interval_ms=length, risk_free=risk_free),
        "fills": fills,
        "positions": positions,
        "cuts": _cuts(market, log, execution.lot, clock),
        "pending": _pending(market, log, execution.lot),
    }


class _Clock:
    """Row → the time of its fills."""

    def __init__(self, market: Market, execution: Execution, interval: str | None) -> None:
        self.bars = market.times
        early = execution.price == "next_open" and interval is not None
        self.fills = self.bars - pd.Timedelta(milliseconds=interval_ms(interval)) if early and interval else self.bars


def _fills(market: Market, log: Log, lot: float, clock: _Clock) -> pd.DataFrame:
    table = pd.DataFrame(log.fills, columns=list(Fill._fields))
    row = table["row"].to_numpy(np.int64)
    return pd.DataFrame({
        "time": clock.fills[row],
        "bar": clock.bars[row],
        "symbol": _names(market, table["symbol"]),
        "signal_time": clock.bars[table["decided"].to_numpy(np.int64)],
        "part": table["part"].astype(str),
        "size": _shares(table["lots"], lot),
        "price": table["price"].astype(np.float64),
        "commission": table["commission"].astype(np.float64),
        "cash": table["cash"].astype(np.float64),
        "position": _shares(table["position"], lot),
    })  # fmt: skip


def _cuts(market: Market, log: Log, lot: float, clock: _Clock) -> pd.DataFrame:
    table = pd.DataFrame(log.cuts, columns=list(Cut._fields))
    row = table["row"].to_numpy(np.int64)
    return pd.DataFrame({
        "time": clock.fills[row],
        "bar": clock.bars[row],
        "symbol": _names(market, table["symbol"]),
        "signal_time": clock.bars[table["decided"].to_numpy(np.int64)],
        "part": table["part"].astype(str),
        "wanted": _shares(table["wanted"], lot),
        "filled": _shares(table["filled"], lot),
        "reason": table["reason"].astype(str),
    })  # fmt: skip


def _pending(market: Market, log: Log, lot: float) -> pd.DataFrame:
    table = pd.DataFrame(log.pending, columns=list(Pending._fields))
    return pd.DataFrame({
        "symbol": _names(market, table["symbol"]),
        "signal_time": market.times[table["decided"].to_numpy(np.int64)],
        "weight": table["weight"].astype(np.float64),
        "size": _shares(table["lots"], lot),
    })  # fmt: skip


def _shares(lots: Any, lot: float) -> FloatArray:
    """Lots as shares, without the last bits of the product: 33594624 lots of 1e-4 are 3359.4624."""
    rounded: FloatArray = np.round(np.asarray(lots, np.float64) * lot, 12)
    return rounded


def _names(market: Market, numbers: "pd.Series[int]") -> "pd.Series[str]":
    return pd.Series(np.array(market.symbols, dtype=object)[numbers.to_numpy(np.int64)], dtype=str)


def _positions(market: Market, log: Log, lot: float) -> pd.DataFrame:
    lots = np.full((len(market.times), len(market.symbols)), np.nan)
    lots[0] = 0.0
    for fill in log.fills:
        lots[fill.row, fill.symbol] = fill.position
    held = pd.DataFrame(lots).ffill().to_numpy()
    return pd.DataFrame(_shares(held, lot), index=market.times, columns=market.symbols)


@dataclass
class _Holding:
    """A position on its way: lots, average price, commission not yet charged to a trade, row of its first fill."""

    lots: int = 0
    price: float = 0.0
    commission: float = 0.0
    row: int = 0


def _trades(market: Market, log: Log, lot: float, clock: _Clock) -> pd.DataFrame:
    holdings = [_Holding() for _ in market.symbols]
    rows = []
    for fill in log.fills:
        holding = holdings[fill.symbol]
        if fill.part == "reduce":
            rows.append((fill.symbol, holding.row, fill.row, *_close(holding, fill, lot)))
        else:
            _open(holding, fill)
    table = pd.DataFrame(
        rows, columns=["symbol", "entry", "exit", "size", "entry_price", "exit_price", "commission", "pnl"]
    )
    entry, exit_ = table["entry"].to_numpy(np.int64), table["exit"].to_numpy(np.int64)
    size = table["size"].to_numpy(np.float64)
    prices = table[["entry_price", "exit_price", "commission", "pnl"]].astype(np.float64)
    return pd.DataFrame({
        "symbol": _names(market, table["symbol"]),
        "direction": pd.Series(np.where(size > 0, "long", "short"), dtype=str),
        "size": _shares(np.abs(size), 1.0),
        "entry_time": clock.fills[entry],
        "entry_price": prices["entry_price"],
        "exit_time": clock.fills[exit_],
        "exit_price": prices["exit_price"],
        "commission": prices["commission"],
        "pnl": prices["pnl"],
        "return": prices["pnl"] / (np.abs(size) * prices["entry_price"]),
        "bars": exit_ - entry,
    })  # fmt: skip


def _open(holding: _Holding, fill: Fill) -> None:
    if holding.lots == 0:
        holding.row = fill.row
    total = holding.lots + fill.lots
    holding.price = (holding.price * holding.lots + fill.price * fill.lots) / total
    holding.commission += fill.commission
    holding.lots = total


def _close(holding: _Holding, fill: Fill, lot: float) -> tuple[float, float, float, float, float]:
    """Signed size, entry price, exit price, commission and net profit of what `fill` takes out of `holding`."""
    entry_fee = holding.commission * (-fill.lots / holding.lots)
    commission = entry_fee + fill.commission
    size = -fill.lots * lot
    price = holding.price
    holding.commission -= entry_fee
    holding.lots += fill.lots
    if holding.lots == 0:
        holding.price = holding.commission = 0.0
    return size, price, fill.price, commission, size * (fill.price - price) - commission
