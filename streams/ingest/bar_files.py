"""Bars from files as people have them, in one normal form: other names, other clocks, other scales, rows with gaps.

Nothing is mended silently: a row that is no valid bar is left out, counted and shown.
"""

import re
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS, PRICES
from schemas.configuration.presets import preset
from schemas.configuration.sources import Source, SymbolUse
from schemas.errors import ConfigurationError
from schemas.wire import bar_length, canonical_interval, is_symbol, symbol_fault
from schemas.wire.fields import MAX_SYMBOL, known_interval
from streams.ingest.forming import says_unclosed
from streams.ingest.normal.bar_times import stamps, starts
from streams.ingest.normal.columns import Columns, columns_of
from streams.ingest.normal.doubts import check_clock, check_once, check_together, distinct_rows
from streams.ingest.normal.interval_names import known_name
from streams.ingest.normal.values import beside, values_of
from streams.ingest.reading.pieces import Piece
from streams.ingest.reading.places import pieces_of
from streams.ingest.reading.tables import Table, tables
from streams.ingest.row_places import row_places
from streams.ingest.spacing import check_ends, check_lengths, off_grid, out_of_step, timed

UNDECLARED = Source()
FRAME = ("symbol", "interval", "open_time", "close_time", *COLUMNS)
EXAMPLES = 5


@dataclass
class Refused:
    """What of a source could not be used: how many for each reason, and the first few as ``place: reason``."""

    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)
    """What was used otherwise than it is written → how."""

    def add(self, reason: str, example: str) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def take(self, other: "Refused") -> None:
        """The same of another source."""
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.examples += other.examples[: EXAMPLES - len(self.examples)]
        self.read_as |= other.read_as

    @property
    def rows(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.reasons.items()) or "none"


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


def _together(tables: Iterable[Table], interval: str | None, source: Source) -> pd.DataFrame:
    out = Refused()
    parts = [_bars(table, interval, out) for table in tables]
    check_together(parts)
    described = parts[0].attrs.get("columns", {})  # of the first: ``used`` for what, and ``ignored``
    frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    parts.clear()  # they are as much as all bars once more
    check_once(frame, source)
    frame = _in_order(frame).reset_index(drop=True).astype({"symbol": object, "interval": object})
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
        wanted, there = set(symbols), set(frame["symbol"])
        if absent := wanted - there:
            raise ConfigurationError(
                f"there are no bars of {', '.join(sorted(absent))}; there are of: {', '.join(sorted(there)[:20])}"
            )
        keep &= frame["symbol"].isin(wanted).to_numpy()
    keep &= during(frame["close_time"].to_numpy(), start, end)
    return frame[keep].reset_index(drop=True)


def during(times: Iterable[int], start: int | None, end: int | None) -> NDArray[np.bool_]:
    """Which times lie in [start, end); None: no limit. What ``--from`` and ``--to`` mean everywhere."""
    values = np.fromiter(times, np.int64)
    inside = np.ones(len(values), np.bool_)
    if start is not None:
        inside &= values >= start
    if end is not None:
        inside &= values < end
    return inside


def _bars(table: Table, interval: str | None, out: Refused) -> pd.DataFrame:
    """The bars of a table in the normal form."""
    table = replace(table, frame=chosen_rows(table))
    raw, path = table.frame, table.piece.path
    columns = columns_of(table)
    if not len(raw):
        return _nothing()
    frame = pd.DataFrame({"symbol": _symbols(table, columns)}, index=raw.index)
    frame["interval"], length, other = _intervals(table, columns, interval)
    found = stamps(table, columns.times)
    frame["open_time"], faults = starts(table, found, length)
    frame["close_time"] = frame["open_time"] + length
    if not length.all():
        faults |= _close_by_trades(table, columns, frame, length == 0)
    unknown = np.logical_or.reduce(list(faults.values()))
    forming = says_unclosed(path, raw, columns.closed)
    known = ~unknown & ~other & ~forming
    check_clock(table, frame[known], found.naive[known], found.dates[known])
    _check_lengths(table, columns, frame, ~unknown & ~other)
    values_of(table, columns, frame)
    out.read_as |= beside(table, columns, frame)
    faults = {
        "of another interval": other, **faults,
        "still forming (closed: false)": forming, "off the grid of their interval": off_grid(frame),
        **_faults(frame),
    }  # fmt: skip
    frame = _clean(path, frame, faults, out)
    frame = _clean(path, frame, out_of_step(frame), out)
    frame = distinct_rows(table, columns, frame)
    frame.attrs["columns"] = columns.described(raw.columns)
    return frame


def _close_by_trades(
    table: Table, columns: Columns, frame: pd.DataFrame, rows: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """The closes of bars that no time closes, into `frame`; which rows have none, by the reason."""
    if columns.ends is None:
        raise ConfigurationError(
            f"{table.piece}: no time closes bars of {frame['interval'][rows].iloc[0]}, so the file must say when each"
            " did: add a column close_time beside open_time"
        )
    table = replace(table, source=_for_ends(table.source))
    closes, faults = starts(table, stamps(table, (columns.ends,)), np.zeros(len(frame), np.int64))
    frame["close_time"] = np.where(rows, closes, frame["close_time"])
    before = rows & (frame["close_time"] <= frame["open_time"]).to_numpy()
    return {reason: rows & bad for reason, bad in faults.items()} | {"that close before they open": before}


def chosen_rows(table: Table) -> pd.DataFrame:
    """Those that ``only`` names."""
    frame = table.frame
    for name, wanted in table.source.only.items():
        if name.lower() not in frame:
            raise ConfigurationError(f"{table.piece}: has no column {name}, which `only` names")
        there = frame[name.lower()].astype(str)
        frame = frame[there.isin([wanted] if isinstance(wanted, str) else wanted)]
        if not len(frame) and len(there):
            some = ", ".join(there.unique()[:8])
            raise ConfigurationError(f"{table.piece}: has no row with {name} {wanted}, as `only` says; it has {some}")
    return frame.reset_index(drop=True)


def _nothing() -> pd.DataFrame:
    types: dict[str, Any] = dict.fromkeys(FRAME, np.float64)
    types |= {"symbol": "category", "interval": "category", "open_time": np.int64, "close_time": np.int64}
    return pd.DataFrame({name: pd.Series([], dtype=types[name]) for name in FRAME})


def _check_lengths(table: Table, columns: Columns, frame: pd.DataFrame, known: NDArray[np.bool_]) -> None:
    path, named = table.piece.path, columns.interval is not None
    known = known & timed(frame)
    if not known.any():
        return
    check_lengths(path, frame[known], named)
    if columns.ends is None or named:
        return
    table = replace(table, source=_for_ends(table.source))
    try:
        ends = stamps(table, (columns.ends,))
    except ConfigurationError:  # it holds no times: another column of that name
        return
    times, faults = starts(table, ends, np.zeros(len(frame), np.int64))
    both = known & ~np.logical_or.reduce(list(faults.values()))
    check_ends(path, frame["open_time"].to_numpy()[both], times[both], str(frame["interval"].cat.categories[0]))


def _for_ends(source: Source) -> Source:
    return source.model_copy(update={"time": source.time.model_copy(update={"stamp": None, "columns": ()})})


def load(path: Path, texts: Container[str] | None = None) -> pd.DataFrame:
    """The file, names of columns in lower case; of a CSV file the columns `texts` (None: all) as they are written."""
    frames = [table.frame for table in tables(Piece(str(path)), UNDECLARED, texts=texts)]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def symbol_text(symbol: Any) -> str:
    """A symbol as its column's type has it: text, bytes, or a whole number, as Tokyo, Hong Kong and Shanghai use; one
    that is none is empty.

    >>> symbol_text(" A "), symbol_text(7203), symbol_text(7203.0), symbol_text(7203.5), symbol_text(b"A")
    ('A', '7203', '7203', '', 'A')
    """
    if isinstance(symbol, bytes):
        symbol = symbol.decode("utf-8", "replace")
    if isinstance(symbol, str):
        return symbol.strip()
    if isinstance(symbol, int) and not isinstance(symbol, bool):
        return str(symbol) if abs(symbol) < 10**MAX_SYMBOL else ""
    whole = isinstance(symbol, float | np.integer | np.floating)
    return str(int(symbol)) if whole and np.isfinite(symbol) and symbol == int(symbol) else ""


def _symbols(table: Table, columns: Columns) -> "pd.Categorical[Any]":
    use, raw = table.source.symbol, table.frame
    if columns.symbol:
        texts = _categories(raw[columns.symbol[0]], lambda symbol: found_symbol(use, symbol_text(symbol)))
        for name in columns.symbol[1:]:
            joined = pd.Series(texts).astype(str) + "." + raw[name].astype(str).str.strip()
            texts = _categories(joined, symbol_text)
        return texts
    if use.value is not None:
        return _all(use.value, raw)
    if use.from_path:
        symbol = group_in(use.from_path, table.piece, "symbol")
        if symbol is not None:
            return _all(_renamed(use, symbol), raw)
    return _all(_renamed(use, table.piece.stem), raw)


def found_symbol(use: SymbolUse, text: str) -> str:
    """The symbol in a column's text: what the pattern finds (without one all of it), renamed."""
    found = re.search(use.pattern, text) if use.pattern else None
    return _renamed(use, str(found["symbol"]) if found else "" if use.pattern else text)


def _renamed(use: SymbolUse, symbol: str) -> str:
    for old, new in use.replace.items():
        symbol = symbol.replace(old, new)
    return symbol.upper() if use.upper else symbol


def group_in(pattern: str, piece: Piece, name: str) -> str | None:
    """What a pattern of the path finds as `name`; `ConfigurationError` where it does not fit the path at all."""
    found = re.search(pattern, piece.name.replace("\\", "/"))
    if found is None:
        raise ConfigurationError(f"{piece}: symbol.from_path {pattern!r} is not found in it")
    return found.groupdict().get(name)


def _intervals(
    table: Table, columns: Columns, given: str | None
) -> tuple["pd.Categorical[Any]", NDArray[np.int64], NDArray[np.bool_]]:
    """Interval of each row, its length in ms, and which rows have another than the given one."""
    piece, raw, source = table.piece, table.frame, table.source
    of_path = group_in(source.symbol.from_path, piece, "interval") if source.symbol.from_path else None
    of_text = source.symbol.pattern if "(?P<interval>" in (source.symbol.pattern or "") else None
    _check_declared(piece, source.interval, given)
    wanted = given or source.interval
    if of_path is not None:
        names = _all(_named(source, of_path), raw)
    elif of_text and columns.symbol:
        names = _categories(raw[columns.symbol[0]], lambda text: _named(source, _group(of_text, str(text))))
    elif columns.interval is not None:
        names = _categories(raw[columns.interval], lambda interval: _named(source, str(interval).strip()))
    elif wanted is None:
        raise ConfigurationError(
            f"{piece}: does not say how long its bars are; say it with --interval, such as --interval 1m"
        )
    else:
        names = _all(canonical_interval(wanted), raw)
    if of_path is not None and wanted is not None and known_interval(names.categories[0]) is None:  # 1w, say
        return names, np.full(len(raw), bar_length(wanted)), np.ones(len(raw), np.bool_)
    lengths = np.array([_length(piece, name) for name in names.categories], np.int64)
    other = np.array([wanted is not None and name != canonical_interval(wanted) for name in names.categories], np.bool_)
    return names, lengths[names.codes], other[names.codes]


def _named(source: Source, word: str) -> str:
    return canonical_interval(source.interval_names.get(word) or known_name(word))


def _group(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found["interval"] if found else text


def _check_declared(piece: Piece, declared: str | None, given: str | None) -> None:
    if given is not None and declared is not None and canonical_interval(given) != canonical_interval(declared):
        raise ConfigurationError(f"{piece}: holds bars of {declared}, as its source declares, and {given} is asked for")


def _categories(values: "pd.Series[Any]", named: Callable[[Any], str]) -> "pd.Categorical[Any]":
    """The values by their names; only the distinct ones are looked at."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    names = [named(value) for value in distinct]
    places = {name: place for place, name in enumerate(sorted(set(names)))}
    return pd.Categorical.from_codes(
        np.array([places[name] for name in names], np.int64)[codes], pd.Index(list(places), dtype=object)
    )


def _all(name: str, raw: pd.DataFrame) -> "pd.Categorical[Any]":
    return pd.Categorical.from_codes(np.zeros(len(raw), np.int64), pd.Index([name], dtype=object))


def _length(path: Piece, interval: str) -> int:
    try:
        return bar_length(interval)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}; declare interval: 1m where the file has another word") from None


def _faults(frame: pd.DataFrame) -> dict[str, Any]:
    """Which rows are no bars, and why; as `schemas.wire.check_bar` has it."""
    low, high, volume = (frame[name].to_numpy() for name in ("low", "high", "volume"))
    values = frame[list(COLUMNS)].to_numpy()
    outside = [(frame[name].to_numpy() < low) | (frame[name].to_numpy() > high) for name in ("open", "close")]
    return {
        **_unnamed(frame["symbol"].cat),
        "without values": np.isnan(values).any(axis=1),
        "with an infinite value": np.isinf(values).any(axis=1),
        "with a price not above 0": (frame[list(PRICES)].to_numpy() <= 0).any(axis=1),
        "with high below low": high < low,
        "with open or close outside low to high": outside[0] | outside[1],
        "with volume below 0": volume < 0,
    }


def _unnamed(symbols: Any) -> dict[str, NDArray[np.bool_]]:
    """Rows whose symbol is none, by what is wrong with it; the reason shows the first such symbol and the mend."""
    reasons: dict[str, str] = {}  # what is wrong → the reason
    places: dict[str, list[int]] = {}  # the reason → its symbols
    for place, symbol in enumerate(symbols.categories):
        if not is_symbol(symbol):
            fault, mend = symbol_fault(symbol)
            shown = f"whose symbol {fault} ({symbol[:20]!r}: {mend})" if symbol else "without a symbol"
            places.setdefault(reasons.setdefault(fault, shown), []).append(place)
    return {reason: np.isin(symbols.codes, found) for reason, found in places.items()}


def _clean(path: Path, frame: pd.DataFrame, faults: dict[str, Any], out: Refused) -> pd.DataFrame:
    good = np.ones(len(frame), bool)
    for reason, faulty in faults.items():
        rows = np.nonzero(faulty & good)[0]
        if len(rows):
            out.reasons[reason] = out.reasons.get(reason, 0) + len(rows)
            places = frame.index[rows[: EXAMPLES - len(out.examples)]]
            out.examples += [f"{place}: {reason}" for place in row_places(path, places.tolist())]
            good[rows] = False
    return frame.loc[:, list(FRAME)] if good.all() else frame.loc[good, list(FRAME)]
