"""A table's rows as bars in one normal form."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from schemas.wire import bar_length
from schemas.wire.fields import MONTH_MS, MONTH_SLACK_MS
from streams.ingest.normal.bar_times import Stamps, ends_of, stamps, starts
from streams.ingest.normal.columns import Columns, columns_of
from streams.ingest.normal.doubts import check_clock, distinct_rows
from streams.ingest.normal.forming import says_unclosed
from streams.ingest.normal.left_out import FRAME, Refused, cleaned, faults_of
from streams.ingest.normal.months import check_months, month_counts, spans
from streams.ingest.normal.naming import intervals_of, symbols_of
from streams.ingest.normal.spacing import check_ends, check_lengths, off_grid, out_of_step, timed
from streams.ingest.normal.values import beside, values_of
from streams.ingest.reading.tables import Table

JudgeClock = Callable[[Table, pd.DataFrame, NDArray[np.bool_], NDArray[np.bool_]], None]


def bars_of(table: Table, interval: str | None, out: Refused, judge_clock: JudgeClock = check_clock) -> pd.DataFrame:
    """The bars of a table in the normal form. `judge_clock`: whose clock the times are by takes more than some rows."""
    table = replace(table, frame=chosen_rows(table))
    raw, path = table.frame, table.piece.path
    columns = columns_of(table)
    if not len(raw):
        return nothing()
    frame = pd.DataFrame({"symbol": symbols_of(table, columns)}, index=raw.index)
    frame["interval"], length, other = intervals_of(table, columns, interval)
    found = stamps(table, columns.times)
    frame["open_time"], faults = starts(table, found, length)
    frame["close_time"] = frame["open_time"] + length
    if not length.all():
        faults |= _close_by_itself(table, columns, frame, found)
    unknown = np.logical_or.reduce(list(faults.values()))
    forming = says_unclosed(path, raw, columns.closed)
    known = ~unknown & ~other & ~forming
    judge_clock(table, frame[known], found.naive[known], found.dates[known])
    _check_lengths(table, columns, frame, ~unknown & ~other)
    values_of(table, columns, frame)
    out.read_as |= beside(table, columns, frame)
    faults = {
        "of another interval": other, **faults,
        "still forming (closed: false)": forming, "off the grid of their interval": off_grid(frame),
        **faults_of(frame),
    }  # fmt: skip
    frame = cleaned(table, frame, faults, out)
    frame = cleaned(table, frame, out_of_step(frame), out)
    frame = distinct_rows(table, columns, frame)
    frame.attrs["columns"] = columns.described(raw.columns)
    return frame


def _close_by_itself(
    table: Table, columns: Columns, frame: pd.DataFrame, found: Stamps
) -> dict[str, NDArray[np.bool_]]:
    """The times of bars of no fixed length, into `frame`; which rows have none, by the reason. What a file says itself
    comes before the calendar.
    """
    months = month_counts(frame["interval"])
    lengths = np.array([bar_length(name) for name in frame["interval"].cat.categories], np.int64)
    rows = lengths[frame["interval"].cat.codes.to_numpy()] == 0
    if columns.ends is not None or not months[rows].all():
        faults = _by_both_times(table, columns, frame, rows)
        apart = frame["close_time"] - frame["open_time"] - months * MONTH_MS
        faults |= {"whose two times are no months apart": (months > 0) & (apart.abs() >= MONTH_SLACK_MS).to_numpy()}
        return faults
    name = columns.times[0] if len(columns.times) == 1 else None
    opens, closes, faults = spans(table, name, found, months)
    frame["open_time"] = np.where(months > 0, opens, frame["open_time"])
    frame["close_time"] = np.where(months > 0, closes, frame["close_time"])
    good = (months > 0) & ~np.logical_or.reduce(list(faults.values()))
    check_months(table, frame[good], found.wall[good])
    return {reason: bad & (months > 0) for reason, bad in faults.items()}


def _by_both_times(
    table: Table, columns: Columns, frame: pd.DataFrame, rows: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """The closes that stand in the file."""
    if columns.ends is None:
        raise ConfigurationError(
            f"{table.piece}: no time closes bars of {frame['interval'][rows].iloc[0]}, so the file must say when each"
            " did: add a column close_time beside open_time"
        )
    table = replace(table, source=_for_ends(table.source))
    found = stamps(table, (columns.ends,))
    if month_counts(frame["interval"]).any():
        found = found._replace(wall=ends_of(found.wall))
    closes, faults = starts(table, found, np.zeros(len(frame), np.int64))
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
        if not len(frame) and len(there) and table.whole:
            some = ", ".join(there.unique()[:8])
            raise ConfigurationError(f"{table.piece}: has no row with {name} {wanted}, as `only` says; it has {some}")
    return frame


def nothing() -> pd.DataFrame:
    types: dict[str, Any] = dict.fromkeys(FRAME, np.float64)
    types |= {"symbol": "category", "interval": "category", "open_time": np.int64, "close_time": np.int64}
    return pd.DataFrame({name: pd.Series([], dtype=types[name]) for name in FRAME})


def _check_lengths(table: Table, columns: Columns, frame: pd.DataFrame, known: NDArray[np.bool_]) -> None:
    path, named = table.piece.path, columns.interval is not None
    known = known & timed(frame)
    if not known.any():
        return
    check_lengths(path, frame[known], named or not (table.whole or _follow_each_other(frame[known])))
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


def _follow_each_other(frame: pd.DataFrame) -> bool:
    """Are a symbol's rows in order? Else those of a part of a file have others between them elsewhere."""
    symbols = frame["symbol"].cat.codes.to_numpy()
    order = np.argsort(symbols, kind="stable")
    apart = np.diff(frame["open_time"].to_numpy()[order])[np.diff(symbols[order]) == 0]
    return bool((apart >= 0).all() or (apart <= 0).all())


def _for_ends(source: Source) -> Source:
    return source.model_copy(update={"time": source.time.model_copy(update={"stamp": None, "columns": ()})})
