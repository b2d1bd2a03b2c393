"""Bars from files as people have them, in one normal form: other names, other clocks, other scales, rows with gaps.

Nothing is mended silently: a row that is no valid bar is left out, counted and shown.
"""

from collections.abc import Container, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration.presets import preset
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.normal.bars import bars_of
from streams.ingest.normal.doubts import Scales, once
from streams.ingest.normal.left_out import EXAMPLES, FRAME, Refused
from streams.ingest.reading.pieces import Piece
from streams.ingest.reading.places import pieces_of
from streams.ingest.reading.tables import Table, tables

__all__ = [
    "EXAMPLES", "FRAME", "UNDECLARED", "Refused", "check_symbols", "during", "frame_bars",
    "load", "pieces_for", "read_bars",
    "refused", "select_bars",
]  # fmt: skip
UNDECLARED = Source()


def read_bars(
    paths: str | Path | Iterable[str | Path], interval: str | None = None, source: Source = UNDECLARED
) -> pd.DataFrame:
    """Bars of files or folders of them, ordered by close time, then symbol; equal ones as in the files.

    As `source` declares; where it says nothing, columns (any case): ``open_time``, ``timestamp``, ``datetime``,
    ``time`` or ``date``, the bar's **start**: a datetime (UTC unless it says otherwise), ISO 8601, or milliseconds
    since the epoch; ``symbol`` or ``ticker``,
    else the file's name is the symbol; open, high, low, close; volume, 0 where there is no such column. Others are
    left.

    Parameters
    ----------
    paths
        Files, folders of them, patterns, or addresses in object stores (`streams.ingest.reading`).
    interval
        Length of the bars, such as ``1m``; None: as the column ``interval`` says. With both, other rows are refused.
    source
        What the files' columns mean.

    Returns
    -------
    DataFrame
        symbol, interval, open_time, close_time (int64, ms), open, high, low, close, volume (float64). What was left
        out: ``refused(frame)``.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, lacks a column, or leaves a doubt that a line of the source would settle.
    """
    return _together(
        (table for piece in pieces_for(paths, source) for table in tables(piece, source)), interval, source
    )


def frame_bars(frame: pd.DataFrame, interval: str | None = None, source: Source = UNDECLARED) -> pd.DataFrame:
    """`read_bars` of a file with these columns; a time is a column, not the index."""
    named = frame.rename(columns=lambda name: str(name).lower())
    if len(set(named.columns)) < len(named.columns):
        raise ConfigurationError(f"the frame has columns of one name: {', '.join(map(str, frame.columns))}")
    return _together([Table(named, source, Piece("frame"))], interval, source)


def _together(some: Iterable[Table], interval: str | None, source: Source) -> pd.DataFrame:
    out, scales, parts = Refused(), Scales(), []
    for table in some:
        parts.append(bars_of(table, interval, out))
        scales.take(table.piece.name, parts[-1])
    described = parts[0].attrs.get("columns", {})  # of the first: ``used`` for what, and ``ignored``
    frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    parts.clear()  # they are as much as all bars once more
    frame = once(_in_order(frame), source).reset_index(drop=True).astype({"symbol": object, "interval": object})
    frame.attrs["columns"] = described
    frame.attrs["refused"] = asdict(out)  # plain values: pandas writes them along with Parquet
    return frame


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """By close time, then symbol; itself where it is in that order."""
    symbols, times = frame["symbol"].astype("category").cat.codes.to_numpy(), frame["close_time"].to_numpy()
    later, same = times[1:] > times[:-1], times[1:] == times[:-1]
    if (later | (same & (symbols[1:] >= symbols[:-1]))).all():
        return frame
    return frame.take(np.lexsort((symbols, times)))


def pieces_for(paths: str | Path | Iterable[str | Path], source: Source) -> list[Piece]:
    """The files that hold bars of `source`."""
    return pieces_of(paths, ignore=preset(source.preset).ignore if source.preset else None)


def refused(frame: pd.DataFrame) -> Refused:
    """What `read_bars` left out of `frame`."""
    return Refused(**frame.attrs.get("refused", {}))


def select_bars(
    frame: pd.DataFrame, symbols: Iterable[str] | None = None, start: int | None = None, end: int | None = None
) -> pd.DataFrame:
    """Bars of `symbols` with a close time in [start, end), in ms.

    Raises
    ------
    ConfigurationError
        For a symbol that has no bar at all.
    """
    keep = np.ones(len(frame), bool)
    if symbols is not None:
        wanted = set(symbols)
        check_symbols(wanted, frame["symbol"])
        keep &= frame["symbol"].isin(wanted).to_numpy()
    keep &= during(frame["close_time"].to_numpy(), start, end)
    return frame[keep].reset_index(drop=True)


def check_symbols(wanted: Iterable[str], there: Iterable[str]) -> None:
    """`ConfigurationError` for a symbol that has no bar at all."""
    names = set(there)
    if absent := set(wanted) - names:
        raise ConfigurationError(
            f"there are no bars of {', '.join(sorted(absent))}; there are of: {', '.join(sorted(names)[:20])}"
        )


def during(times: Iterable[int], start: int | None, end: int | None) -> NDArray[np.bool_]:
    """Which times lie in [start, end); None: no limit. What ``--from`` and ``--to`` mean everywhere."""
    values = np.fromiter(times, np.int64)
    inside = np.ones(len(values), np.bool_)
    if start is not None:
        inside &= values >= start
    if end is not None:
        inside &= values < end
    return inside


def load(path: Path, texts: Container[str] | None = None) -> pd.DataFrame:
    """The file, names of columns in lower case; of a CSV file the columns `texts` (None: all) as they are written."""
    frames = [table.frame for table in tables(Piece(str(path)), UNDECLARED, texts=texts)]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
