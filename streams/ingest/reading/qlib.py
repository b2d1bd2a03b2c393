"""Qlib's store: a folder for each symbol, a file of float32 for each field, whose first value is where it begins."""

from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import Piece


def qlib_table(piece: Piece) -> Any:
    """All symbols of the one frequency that there is: symbol, datetime, the five fields and the factor."""
    import pyarrow

    calendars = sorted((piece.path / "calendars").glob("*.txt"))
    if len(calendars) != 1:
        names = ", ".join(each.stem for each in calendars) or "none"
        raise ConfigurationError(f"{piece}: has calendars {names}; give a folder with one frequency")
    times = np.array(calendars[0].read_text(encoding="utf-8").split("\n"), object)
    parts = [
        _symbol(folder, calendars[0].stem, times[times != ""])
        for folder in sorted((piece.path / "features").iterdir())
        if folder.is_dir()
    ]
    if not parts:
        raise ConfigurationError(f"{piece}: has no symbol below features")
    return pyarrow.concat_tables(parts)


def _symbol(folder: Path, frequency: str, times: np.ndarray[Any, Any]) -> Any:
    import pyarrow

    found = {}
    for name in ("open", "high", "low", "close", "volume", "factor"):
        file = folder / f"{name}.{frequency}.bin"
        if file.exists():
            found[name] = np.fromfile(file, "<f4")
    lengths, begins = {len(each) for each in found.values()}, {each[0] for each in found.values() if len(each)}
    if len(lengths) != 1 or len(begins) != 1:
        raise ConfigurationError(f"{folder}: its files do not begin together, or differ in length")
    first, count = int(begins.pop()), lengths.pop() - 1
    if first < 0 or first + count > len(times):
        raise ConfigurationError(f"{folder}: has more values than the calendar has times")
    columns = {name: each[1:].astype(np.float64) for name, each in found.items()}
    return pyarrow.table(
        {
            "symbol": [folder.name.upper()] * count,
            "datetime": [str(each).strip() for each in times[first : first + count]],
        }
        | columns
    )
