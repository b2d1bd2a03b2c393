"""Arrow's tables as pandas' frames: an index as columns, integers of 16 bytes as numbers."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from schemas.configuration.sources import Source


def batches(data: Any, rows: int | None) -> Iterator[Any]:
    """Tables of at most `rows` rows; None: one table."""
    import pyarrow

    if rows is None:
        yield _whole(data)
    else:
        yield from (pyarrow.Table.from_batches([part]) for part in _parts(data, rows))


def _whole(data: Any) -> Any:
    import pyarrow

    if isinstance(data, pyarrow.Table):
        return data
    return next(getattr(data, name)() for name in ("read_all", "read", "to_table") if hasattr(data, name))


def _parts(data: Any, rows: int) -> Iterator[Any]:
    """Of a table, a Parquet file, a data set, a file of Arrow's or a stream."""
    import pyarrow

    if isinstance(data, pyarrow.Table):
        yield from data.to_batches(max_chunksize=rows)
    elif hasattr(data, "iter_batches"):
        for group in range(data.num_row_groups):  # a reader of all of them keeps what it has read of each
            yield from data.iter_batches(batch_size=rows, row_groups=[group])
    elif hasattr(data, "to_batches"):
        yield from data.to_batches(batch_size=rows, batch_readahead=1, fragment_readahead=1)
    elif hasattr(data, "get_batch"):
        yield from (data.get_batch(number) for number in range(data.num_record_batches))
    else:
        yield from data


def flat(table: Any, schema: Any, first: int, source: Source) -> pd.DataFrame:
    """The rows, of which the first has number `first` in the file. An index becomes columns; one that only counts the
    rows is none.
    """
    notes = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    for place, field in enumerate(table.schema):
        if str(field.type) in ("fixed_size_binary[16]", "fixed_size_binary[8]"):
            table = table.set_column(place, field.name, _integers(table.column(place)))
    frame = table.replace_schema_metadata(None).to_pandas()
    first_ones = [name for name in notes.get("index_columns", []) if isinstance(name, str) and name in frame]
    frame = frame[[*first_ones, *(name for name in frame.columns if name not in first_ones)]]
    frame.columns = pd.Index(_names(frame.columns, notes))
    for index in notes.get("index_columns", []):
        if isinstance(index, dict) and index.get("name") is not None:
            start = int(index["start"]) + first * int(index["step"])
            frame.insert(0, index["name"], start + np.arange(len(frame), dtype=np.int64) * int(index["step"]))
    return _long(frame, notes) if source.shape == "wide" else frame


def _names(columns: Any, notes: dict[str, Any]) -> list[str]:
    """An index without a name is called timestamp where it holds times, else index."""
    times = {each.get("field_name") for each in notes.get("columns", []) if "datetime" in str(each.get("pandas_type"))}
    return [
        ("timestamp" if name in times else "index") if str(name).startswith("__index_level_") else str(name)
        for name in columns
    ]


def _integers(column: Any) -> Any:
    """Little-endian integers of 8 or 16 bytes, as Python's: they are larger than any of Arrow's."""
    import pyarrow

    values = [None if each is None else int.from_bytes(each, "little", signed=True) for each in column.to_pylist()]
    if all(each is None or -(2**63) <= each < 2**63 for each in values):
        return pyarrow.array(values, pyarrow.int64())
    return pyarrow.array([None if each is None else each for each in values], pyarrow.decimal128(38, 0))


def _long(frame: pd.DataFrame, notes: dict[str, Any]) -> pd.DataFrame:
    """A column for each field and symbol, named ('Close', 'AAA'), as rows of symbols."""
    import ast

    pairs = [ast.literal_eval(name) if name.startswith("(") else name for name in map(str, frame.columns)]
    wide = frame.loc[:, [isinstance(pair, tuple) for pair in pairs]]
    wide.columns = pd.MultiIndex.from_tuples([pair for pair in pairs if isinstance(pair, tuple)])
    rest = frame.loc[:, [not isinstance(pair, tuple) for pair in pairs]]
    return by_symbol(wide, rest)


def by_symbol(wide: pd.DataFrame, rest: pd.DataFrame) -> pd.DataFrame:
    """The columns of each symbol one below the other, beside those of `rest`, which all of them share."""
    levels = [{str(name).lower() for name in wide.columns.get_level_values(level)} for level in (0, 1)]
    symbols = 1 if {"open", "close"} <= levels[0] else 0
    parts = [
        pd.concat([rest, wide.xs(symbol, axis=1, level=symbols)], axis=1).assign(symbol=str(symbol))
        for symbol in dict.fromkeys(wide.columns.get_level_values(symbols))
    ]
    whole = pd.concat(parts, ignore_index=True)
    empty = whole[list(wide.columns.get_level_values(1 - symbols).unique())].isna().all(axis=1)
    return whole[~empty].reset_index(drop=True)  # the day is another symbol's
