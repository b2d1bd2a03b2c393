"""Whether the bars of a file are as long as they are said to be, and follow each other as bars of one length do.

A file seldom says how long its bars are: who reads it does. Bars that never come as close together as that, or usually
come closer, are of another length, and the file is refused. A single bar that is shorter or longer than the others (a
half day, the hour of summer time) is not: what the gate would refuse is left out, counted and shown.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import BAR, COLUMNS
from schemas.errors import ConfigurationError
from schemas.wire import bar_length, grid_ms, interval_ms, is_varying, name_of_length, spacing_ms

MEND = "say how long they are: `produce --interval`, a strategy's `interval`, or a column interval in the file"
MANY = 8
"""From so many distances on, none below two intervals is no coincidence; below, none below ten is not."""
Mask = NDArray[np.bool_]


def check_lengths(path: Path, frame: pd.DataFrame, named: bool) -> None:
    """Raises `ConfigurationError` where bars are of another length than is said. `named`: each row names its own
    interval, so that there may be few bars, far apart.
    """
    if not named:
        _check_longer(path, frame)
    for part in _by_symbol(frame):
        apart, length = _apart(part), _length(part)
        short = int((apart < length).sum())
        if 2 * short > len(apart) and (short > 1 or len(frame) <= 3):
            raise ConfigurationError(
                f"{path}: bars of {part['symbol'].iloc[0]} are {_name(np.median(apart))} apart, so they are no"
                f" {part['interval'].iloc[0]} bars; {MEND}"
            )


def _check_longer(path: Path, frame: pd.DataFrame) -> None:
    """All bars of the file, and those of each symbol: one may have days in a file of hours."""
    if len(frame) < 3:
        return
    distances = {str(part["symbol"].iloc[0]): _apart(part) for part in _by_symbol(frame)}
    length, interval = _length(frame), frame["interval"].iloc[0]
    _refuse_longer(path, np.concatenate(list(distances.values())), length, interval, 2.0, "its bars")
    for symbol, apart in distances.items():
        if len(apart) >= MANY:
            _refuse_longer(path, apart, length, interval, 1.0, f"bars of {symbol}")


def _refuse_longer(path: Path, apart: NDArray[np.int64], length: int, interval: str, uneven: float, which: str) -> None:
    """Few bars of many (a symbol that is seldom traded) lie far apart by chance, and unevenly: the usual distance is
    more than `uneven` times the least one.
    """
    if len(apart) < 2:
        return
    least, usual = apart.min(), float(np.median(apart))
    if least >= (2 if len(apart) >= MANY else 10) * length and usual <= uneven * least:
        raise ConfigurationError(
            f"{path}: {which} are {_name(usual)} apart, and never less than {_name(least)}, so they are no"
            f" {interval} bars; {MEND}"
        )


def check_ends(path: Path, starts: NDArray[np.int64], ends: NDArray[np.int64], interval: str) -> None:
    """The same by a file's own column of ends, of which many are one unit before the next bar's start."""
    if not len(starts):
        return
    lasts = float(np.median(ends - starts))
    if lasts <= 0:
        raise ConfigurationError(
            f"{path}: close_time is not after the times that are read as the bars' starts; call the column of the"
            " starts open_time"
        )
    if lasts > 1.5 * interval_ms(interval):
        raise ConfigurationError(
            f"{path}: by its close_time the bars are {_name(lasts)} long, so they are no {interval} bars; {MEND}"
        )


def timed(frame: pd.DataFrame) -> Mask:
    """Bars of one length; of others it says nothing how far they are apart."""
    intervals = frame["interval"].cat
    by_time = np.array([not is_varying(name) for name in intervals.categories], np.bool_)
    return np.asarray(by_time[intervals.codes.to_numpy()], np.bool_)


def off_grid(frame: pd.DataFrame) -> Mask:
    """Bars that open where none of their interval does (a minute's at 08:00:30)."""
    intervals = frame["interval"].cat
    grids = np.array([grid_ms(bar_length(name) or 1) for name in intervals.categories], np.int64)
    return np.asarray(frame["open_time"].to_numpy() % grids[intervals.codes.to_numpy()] != 0, np.bool_)


def out_of_step(frame: pd.DataFrame) -> dict[str, Mask]:
    """Which bars the gate would refuse beside the others of their symbol, by the reason."""
    late, shifted = np.zeros(len(frame), np.bool_), np.zeros(len(frame), np.bool_)
    for name, rows in frame.groupby("interval", observed=True, sort=False).indices.items():
        part, length = frame.iloc[rows], spacing_ms(str(name))
        if not length:
            continue
        order = np.lexsort((part["open_time"], part["symbol"].cat.codes))
        apart = np.diff(part["open_time"].to_numpy()[order])
        apart = apart[np.diff(part["symbol"].cat.codes.to_numpy()[order]) == 0]
        if ((apart == 0) | (apart == length) | (apart >= 2 * length)).all():
            continue
        late[rows[order]], shifted[rows[order]] = _judged(part.iloc[order], length)
    return {
        "that begin before the bar before them ends": late,
        "off the grid of their symbol's bars": shifted,
    }


def _judged(frame: pd.DataFrame, length: int) -> tuple[Mask, Mask]:
    from plugins.fold import gate  # and with it numba, for the few files that need it

    symbols = frame["symbol"].cat
    bars, slots = np.zeros(len(frame), BAR), symbols.codes.to_numpy().astype(np.int64)
    bars["time"] = frame["close_time"]
    for name in COLUMNS:
        bars[name] = frame[name]
    states = np.zeros(len(symbols.categories), gate.STATE)
    verdicts, _ = gate.judge(states, slots, bars, length)
    return verdicts == gate.GateVerdict.LATE, verdicts == gate.GateVerdict.OFF_GRID


def _by_symbol(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each symbol and interval."""
    for _, part in frame.groupby(["symbol", "interval"], observed=True, sort=False):
        yield part


def _apart(frame: pd.DataFrame) -> NDArray[np.int64]:
    """How far the bars' starts lie apart, in ms; a start that comes twice counts once."""
    return np.diff(np.unique(frame["open_time"].to_numpy()))


def _length(frame: pd.DataFrame) -> int:
    return interval_ms(str(frame["interval"].iloc[0]))


def _name(length: float) -> str:
    """As an interval, up to whole seconds: ends are often one unit before the next start."""
    return name_of_length(max(1, int(np.ceil(length / 1000))) * 1000)
