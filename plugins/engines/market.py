"""From the frames that a user gives to the arrays that an engine runs on; bad frames are refused in one clear line."""

import difflib
import math
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class Bars:
    """Checked bars, sorted by time and symbol: what many sets of signals can be tried on."""

    keys: "_Keys"
    open: FloatArray
    close: FloatArray
    tradable: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    opened: IntArray | None

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self.keys.times.astype("datetime64[ms]"), tz="UTC", name="time")

    @cached_property
    def lowest(self) -> FloatArray:
        """Each symbol's lowest close."""
        lowest = np.full(len(self.keys.symbols), np.inf)
        np.minimum.at(lowest, self.keys.number, self.close)
        return lowest

    @cached_property
    def first(self) -> IntArray:
        counts = np.bincount(self.keys.row, minlength=len(self.keys.times))
        return np.concatenate([[0], np.cumsum(counts)])


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
    bars = prepare_bars(prices)
    return decided(bars, _keys(signals, "signals"), target_weights(signals, execution), execution)


def prepare_bars(prices: pd.DataFrame) -> Bars:
    """The half of `prepare` that signals have no part in."""
    if not len(prices):
        raise ConfigurationError("prices: there are no bars; is the range empty?")
    keys = _keys(prices, "prices")
    _check_ascending(keys, "prices")
    _check_prices(prices, keys)
    tradable, silent = _tradable(prices, keys)
    order = keys.order()
    return Bars(
        keys=keys.sorted(order),
        open=prices["open"].to_numpy(np.float64)[order],
        close=_numbers(prices["close"], "prices")[order],
        tradable=tradable[order],
        silent=silent,
        opened=prices["open_time"].to_numpy(np.int64)[order] if "open_time" in prices else None,
    )


def decisions_on(bars: Bars, signals: pd.DataFrame, execution: Execution) -> Market:
    """Like `prepare`, of signals with the columns `symbol` and `time` (ms); those that keep the position are not looked
    at.
    """
    weights = target_weights(signals, execution)
    speaks = np.flatnonzero(~np.isnan(weights))
    number, names = pd.factorize(signals["symbol"].array.take(speaks))
    symbols, number = _used(np.array([str(name) for name in names], object), number)
    times, row = np.unique(signals["time"].to_numpy(np.int64)[speaks], return_inverse=True)
    return decided(bars, _Keys(times, symbols.tolist(), row, number), weights[speaks], execution)


def decided(bars: Bars, keys: "_Keys", weights: FloatArray, execution: Execution) -> Market:
    """Bars and the decisions on them."""
    check_calendar(execution.calendar)
    symbols = bars.keys.symbols
    lots = np.array([execution.lot_of(symbol) for symbol in symbols])
    _check_lots(bars, lots, execution)
    row, symbol, weight = _decisions(keys, weights, bars, execution)
    return Market(
        symbols=symbols,
        times=bars.times,
        first=bars.first,
        symbol=bars.keys.number,
        open=bars.open,
        close=bars.close,
        tradable=bars.tradable,
        lots=lots,
        without_volume=[name for name, no_volume in zip(symbols, bars.silent.tolist(), strict=True) if no_volume],
        decision_row=row,
        decision_symbol=symbol,
        decision_weight=weight,
        opened=bars.opened,
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
    keys: "_Keys", weights: FloatArray, bars: Bars, execution: Execution
) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows, symbols and weights of the signals that order something, by row and symbol."""
    known = bars.keys
    place_of = {symbol: number for number, symbol in enumerate(known.symbols)}
    symbol_of = np.array([place_of.get(symbol, -1) for symbol in keys.symbols], np.int64)
    if (symbol_of < 0).any():
        first = keys.number[symbol_of[keys.number] < 0][0]
        raise ConfigurationError(_unknown(keys.symbols[first], known.symbols))
    _check_ascending(keys, "signals")
    if np.isinf(weights).any():
        raise ConfigurationError(f"signals: the weight {keys.where(np.isinf(weights))} is infinite")
    speaks = np.flatnonzero(~np.isnan(weights))
    row_of = np.minimum(np.searchsorted(known.times, keys.times), len(known.times) - 1)
    row, numbers, weights = row_of[keys.row[speaks]], symbol_of[keys.number[speaks]], weights[speaks]
    missing = (known.times[row_of] != keys.times)[keys.row[speaks]] | ~known.has(row, numbers)
    if missing.any():
        raise ConfigurationError(
            f"signals: there is a signal {keys.where_at(int(speaks[missing][0]))} but no bar;"
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


@dataclass(frozen=True)
class _Keys:
    """Where the rows of a frame belong: places in `times` (ms, ascending) and in `symbols` (ascending)."""

    times: IntArray
    symbols: list[str]
    row: IntArray
    number: IntArray

    @cached_property
    def keys(self) -> IntArray:
        return self.row * len(self.symbols) + self.number

    @cached_property
    def ascending(self) -> bool:
        """By time and symbol, none twice: so come most frames."""
        return bool((self.keys[1:] > self.keys[:-1]).all())

    def order(self) -> Any:
        """What sorts the rows by time and symbol."""
        return slice(None) if self.ascending else np.argsort(self.keys, kind="stable")

    def sorted(self, order: Any) -> "_Keys":
        return self if self.ascending else _Keys(self.times, self.symbols, self.row[order], self.number[order])

    def has(self, row: IntArray, number: IntArray) -> NDArray[np.bool_]:
        """Whether there are rows of these; of keys that are ascending."""
        wanted = row * len(self.symbols) + number
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: NDArray[np.bool_] = self.keys[places] == wanted
        return found

    def where(self, bad: NDArray[np.bool_]) -> str:
        return self.where_at(int(np.flatnonzero(bad)[0]))

    def where_at(self, place: int) -> str:
        return f"at {_time(self.times[self.row[place]])} of {self.symbols[self.number[place]]}"


def _keys(frame: pd.DataFrame, what: str) -> _Keys:
    index: Any = frame.index
    many = isinstance(index, pd.MultiIndex) and index.nlevels == 2
    level, codes = (index.levels[0], index.codes[0]) if many else (index, np.arange(len(frame)))
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
    if level.hasnans or (codes < 0).any():
        raise ConfigurationError(f"{what}: a time is missing (NaT) in the index")
    stamps, row = _used(times, codes)
    if not many:
        return _Keys(stamps, [ONE_SYMBOL], row, np.zeros(len(frame), np.int64))
    names, number = _used(index.levels[1].astype(str).to_numpy(object), index.codes[1])
    return _Keys(stamps, names.tolist(), row, number)


def _used(values: Any, codes: Any) -> tuple[Any, IntArray]:
    """The values that `codes` name, ascending and once each, and the place among them of each code."""
    used = np.zeros(len(values), np.bool_)
    used[codes] = True
    unique, places = np.unique(values[used], return_inverse=True)
    place_of = np.zeros(len(values), np.int64)
    place_of[used] = places
    return unique, place_of[codes]


def _numbers(column: "pd.Series[Any]", what: str) -> FloatArray:
    try:
        return pd.to_numeric(column).to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{what}: the column {column.name!r} holds something else than numbers: {error}"
        ) from None


def _check_ascending(keys: _Keys, what: str) -> None:
    if keys.ascending:
        return
    order = np.argsort(keys.number, kind="stable")
    step = np.diff(keys.row[order])
    same = np.diff(keys.number[order]) == 0
    for bad, fault in (
        (same & (step == 0), "comes twice"),
        (same & (step < 0), "comes after a later time; sort the frame by time"),
    ):
        if bad.any():
            place = int(order[1:][bad][0])
            when, name = keys.times[keys.row[place]], keys.symbols[keys.number[place]]
            raise ConfigurationError(f"{what}: {_time(when)} of {name} {fault}")


def _check_prices(prices: pd.DataFrame, keys: _Keys) -> None:
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
            raise ConfigurationError(f"prices: {name} is {value:g} {keys.where(bad)}; {mend}")


def _check_lots(bars: Bars, lots: FloatArray, execution: Execution) -> None:
    """`lots`: shares in a lot of each symbol."""
    worth = bars.lowest * lots
    number = int(worth.argmin())
    if worth[number] <= SMALLEST_LOT * execution.capital:
        close = bars.lowest[number]
        lot, name = SMALLEST_LOT * execution.capital / close, bars.keys.symbols[number]
        enough = 10.0 ** math.ceil(math.log10(lot) + 1e-9)
        raise ConfigurationError(
            f"execution.lot: {lots[number]:g} of {name} at {close:g} is too little to count"
            f" against a capital of {execution.capital:g}; use more than {lot:.3g},"
            f" as in lot: {{default: {execution.lot_of('default'):g}, {name}: {enough:g}}}"
        )


def _tradable(prices: pd.DataFrame, keys: _Keys) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which bars may fill an order, and which symbols have no volume at all. A bar without volume fills nothing, unless
    its symbol has none in any bar: then nobody has counted it.
    """
    traded = prices["volume"].to_numpy(np.float64) > 0 if "volume" in prices else np.zeros(len(prices), np.bool_)
    silent = np.bincount(keys.number, traded, len(keys.symbols)) == 0
    return traded | silent[keys.number], silent


def _unknown(name: str, symbols: list[str]) -> str:
    near = difflib.get_close_matches(name, symbols, n=3)
    known = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"there is: {', '.join(symbols[:10])}{' …' if len(symbols) > 10 else ''}"
    )
    return f"signals: there are no prices of {name!r}; {known}"


def _time(milliseconds: int) -> str:
    return str(pd.Timestamp(int(milliseconds), unit="ms", tz="UTC"))
