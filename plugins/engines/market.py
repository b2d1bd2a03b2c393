"""From the frames that a user gives to the arrays that an engine runs on; bad frames are refused in one clear line."""

import difflib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import PRICES, times_of
from plugins.base.market_calendar import check_calendar
from plugins.engines.contract import SMALLEST_LOT
from schemas.configuration import Execution
from schemas.errors import ConfigurationError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ONE_SYMBOL = "asset"
"""Name of the only symbol of frames with a plain time index."""
UNITS = {"BUY": 1.0, "SELL": -1.0, "FLAT": 0.0, "HOLD": np.nan}


@dataclass(frozen=True)
class Market:
    """Bars sorted by time and symbol, and the decisions on them.

    A *row* is one time at which some symbol has a bar; a symbol is known by its number in `symbols`. The bars of row
    r are ``first[r]:first[r + 1]`` of `symbol`, `open`, `close` and `tradable`.
    """

    symbols: list[str]
    times: pd.DatetimeIndex
    first: IntArray
    symbol: IntArray
    open: FloatArray
    close: FloatArray
    tradable: NDArray[np.bool_]
    lots: FloatArray
    """Shares in a lot, by symbol."""
    without_volume: list[str]
    """Symbols of which no bar has a volume, so that each of their bars trades."""
    decision_row: IntArray
    decision_symbol: IntArray
    decision_weight: FloatArray
    opened: IntArray | None = None
    """When each bar opened (ms since the epoch, UTC), where the prices say so."""

    @property
    def row(self) -> IntArray:
        """Row of each bar."""
        return np.repeat(np.arange(len(self.times)), np.diff(self.first))

    def closes(self) -> FloatArray:
        """Rows x symbols: each symbol's last close, NaN before its first."""
        table = np.full((len(self.times), len(self.symbols)), np.nan)
        table[self.row, self.symbol] = self.close
        filled: FloatArray = pd.DataFrame(table).ffill().to_numpy()
        return filled


def prepare(prices: pd.DataFrame, signals: pd.DataFrame, execution: Execution) -> Market:
    """Checks both frames and joins them.

    Parameters
    ----------
    prices
        open, close (high, low, volume if there are any), by time for one symbol, by (time, symbol) for many; a time
        is a bar's close. `open_time` (ms since the epoch, UTC), if there is such a column: when the bar opened.
    signals
        A `weight` column (target weights, used as they are; NaN keeps the position), else a `signal` column: BUY,
        SELL, FLAT, HOLD, or a number; index as in `prices`, each on a bar.

    Raises
    ------
    ConfigurationError
        Times that are not ascending or twice, NaN or non-positive prices, unknown symbols, signals without a bar, a
        lot that is too small.
    """
    check_calendar(execution.calendar)
    times, names = _keys(prices, "prices")
    if not len(prices):
        raise ConfigurationError("prices: there are no bars; is the range empty?")
    numbers, symbols = pd.factorize(names, sort=True)
    _check_ascending(times, numbers, names, "prices")
    _check_prices(prices, times, names)
    rows, row_of_bar = np.unique(times, return_inverse=True)
    order = np.lexsort((numbers, row_of_bar))
    close = _numbers(prices["close"], "prices")
    known = [str(symbol) for symbol in symbols]
    lots = np.array([execution.lot_of(symbol) for symbol in known])
    _check_lots(close, lots[numbers], names, execution)
    bar_row = row_of_bar[order]
    decisions = _decisions(signals, known, rows, bar_row * len(symbols) + numbers[order], execution)
    tradable, silent = _tradable(prices, numbers, len(known))
    return Market(
        symbols=known,
        times=pd.DatetimeIndex(rows.astype("datetime64[ms]"), tz="UTC", name="time"),
        first=np.searchsorted(bar_row, np.arange(len(rows) + 1)),
        symbol=numbers[order].astype(np.int64),
        open=prices["open"].to_numpy(np.float64)[order],
        close=close[order],
        tradable=tradable[order],
        lots=lots,
        without_volume=[symbol for symbol, no_volume in zip(known, silent.tolist(), strict=True) if no_volume],
        decision_row=decisions[0],
        decision_symbol=decisions[1],
        decision_weight=decisions[2],
        opened=prices["open_time"].to_numpy(np.int64)[order] if "open_time" in prices else None,
    )


def target_weights(signals: pd.DataFrame, execution: Execution) -> FloatArray:
    """The target weight that each row of `signals` means; NaN keeps the position (the execution contract, 2)."""
    if "weight" in signals:
        return _numbers(signals["weight"], "signals")
    if "signal" not in signals:
        raise ConfigurationError("signals: there is neither a `signal` nor a `weight` column")
    given = signals["signal"]
    units = pd.to_numeric(
        given.map(lambda value: UNITS.get(value, value) if isinstance(value, str) else value), errors="coerce"
    )
    odd = [value for value in given[units.isna()].unique() if isinstance(value, str) and value not in UNITS]
    if odd:
        raise ConfigurationError(f"signals: {odd[0]!r} is not a signal; use {', '.join(UNITS)} or a number")
    weights: FloatArray = units.to_numpy(np.float64) * execution.weight
    return np.where(weights < 0, 0.0, weights) if execution.long_only else weights


def _decisions(
    signals: pd.DataFrame, symbols: list[str], rows: IntArray, bars: IntArray, execution: Execution
) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows, symbols and weights of the signals that order something, by row and symbol.

    `bars` are the keys (row times symbols, plus symbol) of the bars, ascending.
    """
    times, names = _keys(signals, "signals")
    numbers = pd.Index(symbols).get_indexer(names)
    if (numbers < 0).any():
        raise ConfigurationError(_unknown(str(names[numbers < 0][0]), symbols))
    _check_ascending(times, numbers, names, "signals")
    weights = target_weights(signals, execution)
    if np.isinf(weights).any():
        raise ConfigurationError(f"signals: the weight {_where(times, names, np.isinf(weights))} is infinite")
    speaks = ~np.isnan(weights)
    times, names, numbers, weights = times[speaks], names[speaks], numbers[speaks], weights[speaks]
    row = np.minimum(np.searchsorted(rows, times), len(rows) - 1)
    key = row * len(symbols) + numbers
    missing = (rows[row] != times) | (bars[np.minimum(np.searchsorted(bars, key), len(bars) - 1)] != key)
    if missing.any():
        raise ConfigurationError(
            f"signals: there is a signal {_where(times, names, missing)} but no bar;"
            " a signal belongs to the bar whose close decided it"
        )
    if execution.rebalance == "on_change":
        changed = _changed(numbers, row, weights)
        row, numbers, weights = row[changed], numbers[changed], weights[changed]
    order = np.lexsort((numbers, row))
    return row[order].astype(np.int64), numbers[order].astype(np.int64), weights[order]


def _changed(numbers: IntArray, row: IntArray, weights: FloatArray) -> NDArray[np.bool_]:
    """Which weights differ from the symbol's one before; before its first a symbol's target is 0."""
    order = np.lexsort((row, numbers))
    sorted_weights, sorted_numbers = weights[order], numbers[order]
    before = np.concatenate([[0.0], sorted_weights[:-1]])
    before[np.flatnonzero(np.diff(sorted_numbers, prepend=-1))] = 0.0
    changed = np.zeros(len(weights), np.bool_)
    changed[order] = sorted_weights != before
    return changed


def _keys(frame: pd.DataFrame, what: str) -> tuple[IntArray, pd.Index]:
    """Times (ms) and symbols of the rows."""
    index = frame.index
    level = index.get_level_values(0) if isinstance(index, pd.MultiIndex) and index.nlevels == 2 else index
    if isinstance(level, pd.DatetimeIndex):
        times = times_of(level)
    elif level.dtype.kind in "iu":
        times = level.to_numpy(np.int64)
    elif not len(frame):
        times = np.zeros(0, np.int64)
    else:
        raise ConfigurationError(
            f"{what}: the index holds no times; use a DatetimeIndex (or integers, ms since the epoch),"
            " with many symbols a MultiIndex (time, symbol)"
        )
    if level.hasnans:
        raise ConfigurationError(f"{what}: a time is missing (NaT) in the index")
    return times, index.get_level_values(1).astype(str) if level is not index else pd.Index([ONE_SYMBOL] * len(frame))


def _numbers(column: "pd.Series[Any]", what: str) -> FloatArray:
    try:
        return pd.to_numeric(column).to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{what}: the column {column.name!r} holds something else than numbers: {error}"
        ) from None


def _check_ascending(times: IntArray, numbers: IntArray, names: pd.Index, what: str) -> None:
    order = np.argsort(numbers, kind="stable")
    step = np.diff(times[order])
    same = np.diff(numbers[order]) == 0
    for bad, fault in (
        (same & (step == 0), "comes twice"),
        (same & (step < 0), "comes after a later time; sort the frame by time"),
    ):
        if bad.any():
            place = int(order[1:][bad][0])
            raise ConfigurationError(f"{what}: {_time(times[place])} of {names[place]} {fault}")


def _check_prices(prices: pd.DataFrame, times: IntArray, names: pd.Index) -> None:
    if absent := [name for name in ("open", "close") if name not in prices]:
        raise ConfigurationError(f"prices: there is no column {absent[0]!r}")
    for name in (*PRICES, "volume"):
        if name not in prices:
            continue
        values = _numbers(prices[name], "prices")
        bad = (values < 0) if name == "volume" else ~((values > 0) & np.isfinite(values))
        if bad.any():
            value = values[bad][0]
            mend = (
                "a bar that is missing needs no row: drop it"
                if np.isnan(value)
                else "prices are positive, volumes not negative"
            )
            raise ConfigurationError(f"prices: {name} is {value:g} {_where(times, names, bad)}; {mend}")


def _check_lots(close: FloatArray, lots: FloatArray, names: pd.Index, execution: Execution) -> None:
    """`lots`: shares in a lot of each bar's symbol."""
    least = int((close * lots).argmin())
    if close[least] * lots[least] <= SMALLEST_LOT * execution.capital:
        lot, name = SMALLEST_LOT * execution.capital / close[least], names[least]
        enough = 10.0 ** math.ceil(math.log10(lot) + 1e-9)
        raise ConfigurationError(
            f"execution.lot: {lots[least]:g} of {name} at {close[least]:g} is too little to count"
            f" against a capital of {execution.capital:g}; use more than {lot:.3g},"
            f" as in lot: {{default: {execution.lot_of('default'):g}, {name}: {enough:g}}}"
        )


def _tradable(prices: pd.DataFrame, numbers: IntArray, symbols: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which bars may fill an order, and which symbols have no volume at all. A bar without volume fills nothing, unless
    its symbol has none in any bar: then nobody has counted it.
    """
    traded = prices["volume"].to_numpy(np.float64) > 0 if "volume" in prices else np.zeros(len(prices), np.bool_)
    silent = np.bincount(numbers, traded, symbols) == 0
    return traded | silent[numbers], silent


def _unknown(name: str, symbols: list[str]) -> str:
    near = difflib.get_close_matches(name, symbols, n=3)
    known = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"there is: {', '.join(symbols[:10])}{' …' if len(symbols) > 10 else ''}"
    )
    return f"signals: there are no prices of {name!r}; {known}"


def _where(times: IntArray, names: pd.Index, bad: NDArray[np.bool_]) -> str:
    place = int(np.flatnonzero(bad)[0])
    return f"at {_time(times[place])} of {names[place]}"


def _time(milliseconds: int) -> str:
    return str(pd.Timestamp(int(milliseconds), unit="ms", tz="UTC"))
