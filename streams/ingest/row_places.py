"""Where a row of a file is, for a reader who opens the file."""

import csv
import gzip
import itertools
from collections.abc import Sequence
from pathlib import Path


def row_places(path: Path, rows: Sequence[int]) -> list[str]:
    """``NAME:LINE`` of the `rows` (from 0, ascending) of a file's data.

    In a CSV file that is the line on which the row begins: the header has one, too, and so have blank lines and texts
    of several lines. In other files it is the number of the row, from 1.
    """
    if not path.name.endswith((".csv", ".csv.gz")) or not len(rows):
        return [f"{path.name}:{row + 1}" for row in rows]
    lines = _lines(path, max(rows) + 1)
    return [f"{path.name}:{lines[row] if row < len(lines) else row + 2}" for row in rows]


def _lines(path: Path, count: int) -> list[int]:
    """Lines on which the first `count` rows of data begin."""
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
            records = csv.reader(file)
            begins, last = [], 0
            for record in records:
                if record:
                    begins.append(last + 1)
                last = records.line_num
                if len(begins) > count:
                    break
    except (OSError, csv.Error):  # it was read a moment ago: only the numbers are lost
        return []
    return list(itertools.islice(begins, 1, None))
