"""Where a row is, in an editor that shows the file."""

import gzip
from pathlib import Path

import pytest

from streams.ingest.row_places import row_places

TEXT = 'id,text\na,one\n\nb,"two\nlines"\nc,three\n\n\nd,four\n'
"""Rows begin on the lines 2, 4, 6 and 9."""


@pytest.mark.parametrize(
    ("name", "lines"),
    [("x.csv", [2, 4, 6, 9]), ("x.csv.gz", [2, 4, 6, 9]), ("x.jsonl", [1, 2, 3, 4])],
)
def test_lines_of_rows(tmp_path: Path, name: str, lines: list[int]) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith(".gz") else TEXT.encode())
    assert row_places(path, [0, 1, 2, 3]) == [f"{name}:{line}" for line in lines]
    assert row_places(path, [2]) == [f"{name}:{lines[2]}"]
    assert row_places(path, []) == []


def test_windows_line_ends_and_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id,text\r\na,caf\u00e9\r\nb,two\r\n".encode("latin-1"))
    assert row_places(path, [1]) == ["x.csv:3"]


def test_a_file_that_went_away_costs_only_the_number(tmp_path: Path) -> None:
    assert row_places(tmp_path / "gone.csv", [0, 3]) == ["gone.csv:2", "gone.csv:5"]
