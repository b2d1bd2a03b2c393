"""Bars from CSV and Parquet files as people have them: other column names, other clocks, rows with gaps.

Nothing is mended silently: a row that is no valid bar is left out, counted and shown.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS, PRICES
from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval, interval_ms, is_symbol, symbol_fault
from streams.ingest.forming import says_unclosed
from streams.ingest.row_places import row_places
from streams.ingest.spacing import check_ends, check_lengths, off_grid, out_of_step
from streams.ingest.times import times_in

TIMES = ("open_time", "timestamp", "datetime", "time", "date")
SYMBOLS = ("symbol", "ticker")
SUFFIXES = (".csv", ".csv.gz", ".parquet")
LINES = (".jsonl", ".ndjson", ".json")
"""A JSON object a line."""
FRAME = ("symbol", "interval", "open_time", "close_time", *COLUMNS)
MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "None", "none", "-"]
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


def read_bars(paths: str | Path | Iterable[str | Path], interval: str | None = None) -> pd.DataFrame:
    """Bars of files or folders of them, ordered by close time, then symbol; equal ones as in the files.

    Columns (any case): ``open_time``, ``timestamp``, ``datetime``, ``time`` or ``date``, the bar's **start**: a
    datetime (UTC unless it says otherwise), ISO 8601, or milliseconds since the epoch; ``symbol`` or ``ticker``,
    else the file's name is the symbol; open, high, low, close; volume, 0 where there is no such column. Others are
    left.

    Parameters
    ----------
    paths
        ``.csv``, ``.csv.gz`` and ``.parquet`` files, or folders of them.
    interval
        Length of the bars, such as ``1m``; None: as the column ``interval`` says. With both, other rows are refused.

    Returns
    -------
    DataFrame
        symbol, interval, open_time, close_time (int64, ms), open, high, low, close, volume (float64). What was left
        out: ``refused(frame)``.

    Raises
    ------
    ConfigurationError
        For a file that cannot be read, lacks a column, or whose times cannot be understood.
    """
    files = files_of(paths, "bars")
    out = Refused()
    parts = [_bars(path, interval, out) for path in files]
    frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    order = np.lexsort((frame["symbol"].astype("category").cat.codes, frame["close_time"]))
    frame = frame.take(order).reset_index(drop=True).astype({"symbol": object, "interval": object})
    frame.attrs["refused"] = asdict(out)  # plain values: pandas writes them along with Parquet
    return frame


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


def files_of(paths: str | Path | Iterable[str | Path], what: str, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The files, and those in the folders, that `paths` name; `ConfigurationError` where one holds no `what`."""
    files: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        inside = sorted(item for item in path.iterdir() if item.name.endswith(suffixes)) if path.is_dir() else [path]
        if not inside or not all(item.name.endswith(suffixes) for item in inside):
            raise ConfigurationError(f"{path}: no {what} there; give {', '.join(suffixes)} files, or a folder of them")
        files += inside
    if not files:
        raise ConfigurationError(f"no file of {what} was named")
    return files


def _bars(path: Path, interval: str | None, out: Refused) -> pd.DataFrame:
    raw = load(path, (*SYMBOLS, "interval")).reset_index(drop=True)
    _check_columns(path, raw)
    frame = pd.DataFrame({"symbol": _symbols(path, raw)}, index=raw.index)
    frame["interval"], length, other = _intervals(path, raw, interval)
    opened, unknown = times_in(path, raw, next(name for name in TIMES if name in raw))
    frame["open_time"] = opened
    frame["close_time"] = opened + length
    _check_lengths(path, raw, frame, ~unknown & ~other)
    for name in COLUMNS:
        frame[name] = pd.to_numeric(raw[name], errors="coerce").astype("float64") if name in raw else 0.0
    faults = {
        "of another interval": other, "without a time": unknown,
        "still forming (closed: false)": says_unclosed(path, raw), "off the grid of their interval": off_grid(frame),
        **_faults(frame),
    }  # fmt: skip
    frame = _clean(path, frame, faults, out)
    return _clean(path, frame, out_of_step(frame), out)


def _check_lengths(path: Path, raw: pd.DataFrame, frame: pd.DataFrame, known: NDArray[np.bool_]) -> None:
    named = "interval" in raw
    check_lengths(path, frame[known], named)
    if "close_time" not in raw or named:
        return
    try:
        ends, unknown = times_in(path, raw, "close_time")
    except ConfigurationError:  # it holds no times: another column of that name
        return
    both = known & ~unknown
    check_ends(path, frame["open_time"].to_numpy()[both], ends[both], str(frame["interval"].cat.categories[0]))


def load(path: Path, texts: Container[str] | None = None) -> pd.DataFrame:
    """The file, names of columns in lower case; of a CSV file the columns `texts` (None: all) as they are written."""
    frame = _read(path, texts)
    frame.columns = pd.Index([str(name).strip().lower() for name in frame.columns])
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise ConfigurationError(f"{path}: has the column {twice[0]} twice")
    return frame


def _read(path: Path, texts: Container[str] | None) -> pd.DataFrame:
    try:
        if path.name.endswith(".parquet"):
            return _flat(pd.read_parquet(path))
        if path.name.endswith(LINES):
            return pd.read_json(path, lines=True, convert_axes=False, dtype=False)
        if texts is None:
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        names = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        # a symbol may be called NA; prices come out as they were written to the last bit since pandas 3.1
        text: dict[str, Any] = {name: str for name in names if name.strip().lower() in texts}
        missing = {name: MISSING for name in names if name not in text}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing, low_memory=False)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except (OSError, ValueError, UnicodeDecodeError) as error:  # pyarrow's and pandas' parser errors are ValueErrors
        raise ConfigurationError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """An index becomes columns: times, symbols, identities. One that only counts the rows is none."""
    if frame.index.name is None and isinstance(frame.index, pd.RangeIndex):
        return frame.reset_index(drop=True)
    if isinstance(frame.index, pd.DatetimeIndex) and frame.index.name is None:
        frame = frame.rename_axis("timestamp")
    return frame.reset_index()


def _check_columns(path: Path, raw: pd.DataFrame) -> None:
    missing = [name for name in PRICES if name not in raw]
    if not any(name in raw for name in TIMES):
        missing.insert(0, f"a time ({', '.join(TIMES)})")
    if missing:
        raise ConfigurationError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(raw.columns)}")


def _symbols(path: Path, raw: pd.DataFrame) -> "pd.Categorical[Any]":
    for name in SYMBOLS:
        if name in raw:
            return _categories(raw[name], symbol_text)
    stem = path.name[: -len(next(suffix for suffix in SUFFIXES if path.name.endswith(suffix)))]
    return _all(stem, raw)


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
    whole = isinstance(symbol, int | float | np.integer | np.floating) and not isinstance(symbol, bool)
    return str(int(symbol)) if whole and np.isfinite(symbol) and symbol == int(symbol) else ""


def _intervals(
    path: Path, raw: pd.DataFrame, given: str | None
) -> tuple["pd.Categorical[Any]", NDArray[np.int64], NDArray[np.bool_]]:
    """Interval of each row, its length in ms, and which rows have another than the given one."""
    if "interval" in raw:
        names = _categories(raw["interval"], lambda interval: canonical_interval(str(interval).strip()))
    elif given is None:
        raise ConfigurationError(
            f"{path}: does not say how long its bars are; say it with --interval, such as --interval 1m"
        )
    else:
        names = _all(canonical_interval(given), raw)
    lengths = np.array([_length(path, name) for name in names.categories], np.int64)
    other = np.array([given is not None and name != canonical_interval(given) for name in names.categories], np.bool_)
    return names, lengths[names.codes], other[names.codes]


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


def _length(path: Path, interval: str) -> int:
    try:
        return interval_ms(interval)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


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
    return frame.loc[good, list(FRAME)]
