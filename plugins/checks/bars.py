"""The bars that plugins are checked on: real ones that ship with the kit, and generated ones for the edges."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from plugins.base.bars import COLUMNS
from schemas.wire import bar_length

FILE = Path(__file__).with_name("bars.parquet")
"""600 daily bars each of XOM and JNJ, 600 minute bars each of BAC and SPY; origin and licences are in NOTICE."""
EARLY = 5
"""The row of the one bar without volume."""
ONE_WITHOUT_VOLUME = "one bar without volume"
REAL = ("XOM", "JNJ", "BAC", "SPY")


class Setting:
    """What the usual bars of this process are: None: real daily ones, and generated minutes."""

    interval: str | None = None
    given: pd.DataFrame | None = None


def use(interval: str | None, file: str | None) -> None:
    """From now on bars of `interval` are usual, and those of a Parquet file (`time`, UTC, and the five columns)."""
    Setting.interval, Setting.given = interval, None
    if file is not None:
        table = pd.read_parquet(file)
        Setting.given = _framed(table[list(COLUMNS)].to_numpy(np.float64), pd.DatetimeIndex(table["time"]))


@cache
def _file() -> pd.DataFrame:
    return pd.read_parquet(FILE)


def real(symbol: str, count: int | None = None) -> pd.DataFrame:
    """The first `count` bars of a symbol in `REAL`, indexed by time."""
    table = _file()
    rows = table[table["symbol"] == symbol].iloc[:count]
    return _framed(rows[list(COLUMNS)].to_numpy(np.float64), pd.DatetimeIndex(rows["time"]))


def usual(count: int) -> pd.DataFrame:
    """`count` well-behaved bars: those given, else real ones of the interval as far as they go, else a generated
    walk.
    """
    symbols = {None: "XOM", "1d": "XOM", "1m": "SPY"}
    if Setting.given is not None:
        bars = Setting.given.iloc[:count]
    else:
        bars = real(symbols[Setting.interval], count) if Setting.interval in symbols else walk(count)
    return bars if len(bars) == count else walk(count)


def walk(count: int, seed: int = 20130104, step: float = 0.01, drift: float = 0.0) -> pd.DataFrame:
    """A geometric random walk of bars, of minutes unless another interval is set; `step` and `drift` are the log
    return's deviation and mean. The same to the last bit on every kind of processor, which NumPy's own `exp` is not.
    """
    random = np.random.default_rng(seed)
    close = 100.0 * np.array([math.exp(value) for value in np.cumsum(random.normal(drift, step, count)).tolist()])
    opened = np.concatenate([[100.0], close[:-1]])[:count]
    spread = random.uniform(0.0, step, (2, count)) * close
    high, low = np.maximum(opened, close) + spread[0], np.minimum(opened, close) - spread[1]
    volume = random.integers(100, 10_000, count).astype(np.float64)
    return _framed(np.column_stack([opened, high, low, close, volume]), _times(count))


def spread(count: int, seed: int) -> pd.DataFrame:
    """Bars whose prices have nothing to do with each other, from 1/64 to 65,536: values of every size, made by nothing
    that could differ between kinds of processor.
    """
    random = np.random.default_rng(seed)
    close = np.ldexp(1.0 + random.random(count), random.integers(-6, 16, count))
    opened = close * (1.0 + 0.02 * (random.random(count) - 0.5))
    high, low = 1.01 * np.maximum(opened, close), 0.99 * np.minimum(opened, close)
    volume = random.integers(100, 10_000, count).astype(np.float64)
    return _framed(np.column_stack([opened, high, low, close, volume]), _times(count))


def completed(data: pd.DataFrame, more: Sequence[str]) -> pd.DataFrame:
    """`data` with further columns, as a plugin may require them of others: between 0 and 1, each row's from its own
    close and volume, so that a part of a frame has the same values as the whole.
    """
    missing = [name for name in more if name not in data]
    seed = data["close"] * 7919.0 + data["volume"] * 0.618 if missing else 0.0
    return data.assign(**{name: (seed * (number + 1.37)) % 1.0 for number, name in enumerate(missing)})


def edges(count: int) -> dict[str, pd.DataFrame]:
    """Frames that a feature must survive, by name."""
    plain = walk(count, 1)
    gaps = plain[np.random.default_rng(2).uniform(size=count) < 0.7]
    jumps = plain.copy()
    jumps.iloc[count // 2 :, :4] *= 5.0
    flat = plain.assign(open=50.0, high=50.0, low=50.0, close=50.0)
    return {
        "real minute bars with flat stretches": real("BAC", count),
        "a rising trend": walk(count, 3, 0.001, 0.01),
        "a falling trend": walk(count, 4, 0.001, -0.01),
        "a jump": jumps,
        "constant prices": flat,
        "no volume": plain.assign(volume=0.0),
        ONE_WITHOUT_VOLUME: _without_volume(plain, (EARLY,)),
        "every fifth bar without volume": _without_volume(plain, range(0, count, 5)),
        "a stop in trading": _stopped(plain, range(count // 4, count // 2)),
        "constant prices without volume": flat.assign(volume=0.0),
        "gaps in time": gaps,
        "huge prices": _scaled(plain, 1e9),
        "tiny prices": _scaled(plain, 1e-9),
        "two bars": plain.iloc[:2],
        "one bar": plain.iloc[:1],
        "no bar": plain.iloc[:0],
    }


def _without_volume(bars: pd.DataFrame, rows: Iterable[int]) -> pd.DataFrame:
    """Some bars say volume 0: what is divided by it is no number."""
    volume = bars["volume"].to_numpy(copy=True)
    volume[[row for row in rows if row < len(volume)]] = 0.0
    return bars.assign(volume=volume)


def _stopped(bars: pd.DataFrame, rows: range) -> pd.DataFrame:
    """Nothing is traded over `rows`, in the middle of trading: the price stays, the volume is 0."""
    stopped = bars.copy()
    if len(rows):
        last = stopped["close"].iloc[max(rows.start - 1, 0)]
        stopped.iloc[rows.start : rows.stop] = [last, last, last, last, 0.0]
    return stopped


def _scaled(bars: pd.DataFrame, factor: float) -> pd.DataFrame:
    scaled = bars.copy()
    scaled.iloc[:, :4] *= factor
    return scaled


def _times(count: int) -> pd.DatetimeIndex:
    start = 1_380_000_000_000
    times = start + (bar_length(Setting.interval or "1m") or 60_000) * np.arange(1, count + 1)
    return pd.DatetimeIndex(times.astype("datetime64[ms]"))


def _framed(values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", times: pd.DatetimeIndex) -> pd.DataFrame:
    """As a worker gives it to `compute`: the five columns, indexed by the close's time in UTC."""
    index = pd.DatetimeIndex(times.as_unit("ms"), name="time")
    return pd.DataFrame(values, index if index.tz is not None else index.tz_localize("UTC"), list(COLUMNS))
