"""Prices and volumes of a table as floats: scaled, adjusted, and without numbers that stand for nothing."""

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS, PRICES
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.normal.columns import Columns
from streams.ingest.reading.tables import Table

LARGE = 100_000
Values = NDArray[np.float64]


def values_of(table: Table, columns: Columns, frame: pd.DataFrame) -> None:
    """The five columns of the bars, into `frame`."""
    source = table.source
    _check_scale(table, columns)
    for name in COLUMNS:
        scale = source.volume_scale if name == "volume" else source.price_scale
        parts = [numbers(table, column, scale) for column in columns.values[name]]
        frame[name] = np.sum(parts, axis=0) if parts else 0.0
    if source.adjust is None:
        _check_factor(table, columns)
    if source.adjust == "ratio":
        _by_ratio(table, columns, frame)
    if source.adjust == "factor":
        _by_factor(table, frame)


def numbers(table: Table, column: str, scale: float) -> Values:
    """NaN for what is no number, or stands for none."""
    source, raw = table.source, table.frame[column]
    if raw.dtype == object and not len(raw.map(type).drop_duplicates().loc[lambda kinds: ~kinds.isin([str])]):
        raw = _texts(raw, source)
    if source.scaled == "integers" and not pd.api.types.is_integer_dtype(raw) and raw.dtype != object:
        scale = 1.0
    if scale != 1.0 and (raw.dtype == object or pd.api.types.is_integer_dtype(raw)):
        return _scaled(raw, scale, source)
    values = np.array(pd.to_numeric(raw, errors="coerce").astype("float64").to_numpy(np.float64, na_value=np.nan))
    if source.undefined is not None:
        values[values == source.undefined] = np.nan
    step = round(1 / scale)
    return np.asarray(values if scale == 1.0 else values / step if scale < 1 and 1 / scale == step else values * scale)


def _texts(raw: "pd.Series[Any]", source: Source) -> "pd.Series[Any]":
    if source.csv.thousands:
        raw = raw.str.replace(source.csv.thousands, "", regex=False)
    return raw if source.csv.decimal == "." else raw.str.replace(source.csv.decimal, ".", regex=False)


def _scaled(raw: "pd.Series[Any]", scale: float, source: Source) -> Values:
    """Integers times a scale, rounded once: 100230000000 times 1e-9 is the float 100.23."""
    exact = Fraction(str(scale))
    if pd.api.types.is_integer_dtype(raw) and not raw.isna().any():
        whole = raw.to_numpy()
        undefined = (
            np.zeros(len(whole), np.bool_)
            if source.undefined is None
            else whole == np.array(int(source.undefined)).astype(whole.dtype)
        )
        limit = 2**53
        small = bool((undefined | (np.abs(whole.astype(np.float64)) < limit)).all())
        if small and exact.numerator < 2**53 and exact.denominator <= 10**22 and exact.numerator == 1:
            values = np.where(undefined, np.nan, whole.astype(np.float64) / float(exact.denominator))
            return np.asarray(values, np.float64)
    none = None if source.undefined is None else int(source.undefined)
    return np.array([_one(value, exact, none) for value in raw.tolist()], np.float64)


def _one(value: Any, scale: Fraction, undefined: int | None) -> float:
    try:
        number = int(value) if value == int(value) else Fraction(str(value))
    except (TypeError, ValueError, OverflowError):
        return float("nan")
    if undefined is not None and number == undefined:
        return float("nan")
    exact = number * scale
    return exact.numerator / exact.denominator if isinstance(exact, Fraction) else float(exact)


def _check_scale(table: Table, columns: Columns) -> None:
    """Large whole numbers are seldom prices: databento's are in 1e-9, LEAN's in 1e-4."""
    raw = [table.frame[name] for field in PRICES for name in columns.values[field]]
    if "price_scale" in table.source.model_fields_set or not all(pd.api.types.is_integer_dtype(each) for each in raw):
        return
    if len(raw[0]) and raw[0].median() >= LARGE:
        raise ConfigurationError(
            f"{table.piece}: its prices are whole numbers such as {raw[0].iloc[0]}; declare price_scale: 1.0e-4 (or"
            " what a price is multiplied with), or price_scale: 1.0 where they are what they say"
        )


def beside(table: Table, columns: Columns, frame: pd.DataFrame) -> dict[str, str]:
    """What is said of raw prices with adjusted ones beside them."""
    if columns.adjusted is None or table.source.adjust is not None:
        return {}
    adjusted = numbers(table, columns.adjusted, table.source.price_scale)
    if not (np.abs(adjusted / frame["close"].to_numpy() - 1.0) > 1e-6).any():
        return {}
    if columns.adjusted == "adj close":  # yfinance's and Yahoo's, whose other frames hold adjusted prices as close
        raise ConfigurationError(
            f"{table.piece}: has Adj Close beside Close, and they differ: declare adjust: ratio for prices that know"
            " splits and dividends, or adjust: none for those as traded"
        )
    return {"close": f"as it was traded; adjust: ratio takes {columns.adjusted}, which knows splits and dividends"}


def _check_factor(table: Table, columns: Columns) -> None:
    """Prices that were multiplied with a factor are none of the market's."""
    if "factor" in table.frame and "factor" not in columns.used and (numbers(table, "factor", 1.0) != 1.0).any():
        raise ConfigurationError(
            f"{table.piece}: has a column factor beside its prices; declare adjust: factor where they were multiplied"
            " with it, as qlib's are, or adjust: none"
        )


def _by_ratio(table: Table, columns: Columns, frame: pd.DataFrame) -> None:
    if columns.adjusted is None:
        raise ConfigurationError(
            f"{table.piece}: has no column of adjusted closes for adjust: ratio; declare columns: {{adjusted_close: …}}"
        )
    adjusted, close = numbers(table, columns.adjusted, table.source.price_scale), frame["close"].to_numpy()
    for name in PRICES[:3]:
        frame[name] = frame[name].to_numpy() * adjusted / close
    frame["high"] = np.maximum(frame["high"].to_numpy(), np.where(frame["high"] >= adjusted * (1 - 1e-12), adjusted, 0))
    frame["low"] = np.where(frame["low"] <= adjusted * (1 + 1e-12), np.minimum(frame["low"], adjusted), frame["low"])
    frame["close"] = adjusted


def _by_factor(table: Table, frame: pd.DataFrame) -> None:
    column = (table.source.columns.get("factor") or ("factor",))[0].lower()
    if column not in table.frame:
        raise ConfigurationError(
            f"{table.piece}: has no column {column} for adjust: factor; declare columns: {{factor: …}}"
        )
    factor = numbers(table, column, 1.0)
    for name in PRICES:
        frame[name] = frame[name].to_numpy() / factor
    frame["volume"] = frame["volume"].to_numpy() * factor
