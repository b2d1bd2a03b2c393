"""The times of bars: their starts in ms, UTC, from columns as they are declared, or as they leave no doubt."""

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration.sources import TimeUse
from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import Piece
from streams.ingest.reading.tables import Table
from streams.ingest.times import EARLIEST, LATEST, clock_of

SCALES = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of a unit."""
_WIDTHS = {"%H%M%S": 6, "%H%M": 4, "%Y%m%d": 8, "%y%m%d": 6}
Mask = NDArray[np.bool_]
Milliseconds = NDArray[np.int64]


class Stamps(NamedTuple):
    """What stands in the columns of times."""

    wall: "pd.Series[Any]"
    """By the clock of the zone where `naive`, else in UTC; NaT where there is none."""
    naive: Mask
    dates: Mask
    """Days without a time."""


def stamps(table: Table, names: tuple[str, ...]) -> Stamps:
    """The times that stand in the columns `names`.

    Raises
    ------
    ConfigurationError
        For what is no time, or not as it is declared.
    """
    time, raw, piece = table.source.time, table.frame, table.piece
    date = _date_of(piece, table.source.symbol.from_path)
    if date is not None:
        return _of_day(table, names, date)
    columns = [raw[name] for name in names]
    if len(names) > 1 or (time.format and not pd.api.types.is_datetime64_any_dtype(columns[0])):
        return _of_texts(piece, names, columns, time)
    if time.unit and _numeric(columns[0]):
        return _of_units(piece, names[0], columns[0], time)
    clock = clock_of(piece.path, names[0], columns[0], compact=False)
    if time.zone and clock.fixed.all() and len(clock.fixed) and _numeric(columns[0]):
        raise ConfigurationError(
            f"{piece}: column {names[0]} holds numbers since the epoch, which are UTC whatever time.zone says; leave it"
            " out, or declare time: {wall: true, unit: …} where they count by that clock"
        )
    return Stamps(clock.wall, ~clock.fixed, clock.dates)


def _numeric(column: "pd.Series[Any]") -> bool:
    return bool(pd.to_numeric(column, errors="coerce").notna().sum() * 2 > len(column)) and not (
        pd.api.types.is_datetime64_any_dtype(column)
    )


def _date_of(piece: Piece, pattern: str | None) -> pd.Timestamp | None:
    found = re.search(pattern, piece.name.replace("\\", "/")) if pattern else None
    if found is None or not found.groupdict().get("date"):
        return None
    try:
        return pd.Timestamp(found["date"])
    except ValueError:
        raise ConfigurationError(f"{piece}: {found['date']} in its name is no date") from None


def _of_day(table: Table, names: tuple[str, ...], date: pd.Timestamp) -> Stamps:
    """Numbers since the midnight of a day that the file's name says."""
    unit = table.source.time.unit[0] if table.source.time.unit else "ms"
    numbers = pd.to_numeric(table.frame[names[0]], errors="coerce")
    inside = (numbers >= 0) & (numbers * SCALES[unit] < 86_400 * 10**9)
    if not inside.all():
        bad = numbers[~inside].iloc[0]
        raise ConfigurationError(f"{table.piece}: column {names[0]} holds {bad}, which is no time of day in {unit}")
    wall = date.as_unit("ns") + pd.to_timedelta(numbers, unit=unit)
    return Stamps(wall, np.ones(len(wall), np.bool_), np.zeros(len(wall), np.bool_))


def _of_texts(piece: Piece, names: tuple[str, ...], columns: list["pd.Series[Any]"], time: TimeUse) -> Stamps:
    parts = (time.format or "").split(" ")
    forms = parts if len(parts) == len(columns) else [None] * len(columns)
    texts = [_text(column, form) for column, form in zip(columns, forms, strict=True)]
    whole = texts[0]
    for text in texts[1:]:
        whole = whole.str.cat(text, sep=" ")
    missing = np.logical_or.reduce([column.isna().to_numpy() for column in columns])
    whole = whole.where(~missing)
    if time.format is None:
        clock = clock_of(piece.path, " ".join(names), whole, compact=False)
        return Stamps(clock.wall, ~clock.fixed, clock.dates)
    aware = "%z" in time.format
    wall = pd.to_datetime(whole, format=time.format, errors="coerce", utc=aware)
    if len(wall) and wall.isna().all():
        raise ConfigurationError(
            f"{piece}: column {' '.join(names)} holds {whole.dropna().head(1).tolist()}, which is not written as"
            f" {time.format}"
        )
    wall = wall.dt.tz_localize(None) if aware else wall
    timed = re.search(r"%[HIMScXTfp]", time.format) is not None
    return Stamps(wall, np.full(len(wall), not aware), np.full(len(wall), not timed))


def _text(column: "pd.Series[Any]", form: str | None) -> "pd.Series[Any]":
    """Digits that lost their zeros get them back: 93000 is 09:30:00."""
    if pd.api.types.is_float_dtype(column):
        column = column.astype("Int64")
    text = column.astype(str).str.strip()
    width = _WIDTHS.get(form or "")
    return text.where(~text.str.fullmatch(r"\d+"), text.str.zfill(width)) if width else text


def _of_units(piece: Piece, name: str, column: "pd.Series[Any]", time: TimeUse) -> Stamps:
    """Numbers since 1970. Of several units, the range of the values tells which: 1973 to 2499 are far apart in each."""
    numbers = pd.to_numeric(column, errors="coerce")
    known = numbers.notna().to_numpy()
    fits = [unit for unit in time.unit if _plausible(numbers[known], unit)]
    if not fits:
        raise ConfigurationError(
            f"{piece}: column {name} holds {numbers[known].head(1).tolist()}, which is no time in"
            f" {' or '.join(time.unit)} since the epoch"
        )
    scale = SCALES[fits[0]]
    if pd.api.types.is_integer_dtype(numbers) and known.all():
        milliseconds = (
            numbers.to_numpy().astype(np.int64) * (scale // 10**6)
            if scale >= 10**6
            else (numbers.to_numpy().astype(np.int64) // (10**6 // scale))
        )
    else:
        milliseconds = np.rint(numbers.fillna(0).to_numpy(np.float64) * (scale / 10**6)).astype(np.int64)
    wall = pd.Series(milliseconds.astype("datetime64[ms]"), column.index).where(known)
    return Stamps(wall, np.full(len(wall), time.wall), np.zeros(len(wall), np.bool_))


def _plausible(numbers: "pd.Series[Any]", unit: str) -> bool:
    if not len(numbers):
        return True
    milliseconds = numbers.abs().to_numpy(np.float64) * (SCALES[unit] / 10**6)
    return bool((milliseconds <= LATEST).all()) and bool(milliseconds.max() >= EARLIEST)


def starts(table: Table, found: Stamps, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[str, Mask]]:
    """Starts in ms, and which rows have none, by the reason; `lengths` of the bars, in ms."""
    time, wall = table.source.time, found.wall
    faults = {"without a time": wall.isna().to_numpy()}
    if time.stamp == "end":
        wall = ends_of(wall) - pd.to_timedelta(pd.Series(lengths, wall.index), unit="ms")
    if time.zone and found.naive.any():
        local = _localized(wall, time.zone)
        known = ~faults["without a time"]
        faults[f"of an hour that the clock of {time.zone} has twice or not at all"] = (
            known & found.naive & local.isna().to_numpy()
        )
        wall = local.where(found.naive, wall)
    return np.asarray(wall.fillna(pd.Timestamp(0)).dt.as_unit("ms").to_numpy(), "datetime64[ms]").view(np.int64), faults


def ends_of(wall: "pd.Series[Any]") -> "pd.Series[Any]":
    """Ends that are one unit before the next bar's start are that start: 23:59:59.999."""
    ends: pd.Series[Any] = wall.where(wall.dt.second != 59, wall.dt.ceil("min"))
    return ends


def _localized(wall: "pd.Series[Any]", zone: str) -> "pd.Series[Any]":
    """In UTC. Of an hour that comes twice, the rows' order tells which where it can; else it is none."""
    try:
        local = wall.dt.tz_localize(zone, ambiguous="infer", nonexistent="NaT")
    except ValueError:  # not in order, or of several symbols
        local = wall.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    utc: pd.Series[Any] = local.dt.tz_convert("UTC").dt.tz_localize(None)
    return utc
