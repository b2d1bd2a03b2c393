"""What bars are packed in: the same bars from each, and what is no file of bars refused in a line and in bounds."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars

HEADER = "symbol,timestamp,open,high,low,close,volume\n"
ROWS = "A,2024-03-08T14:30:00Z,1,2,1,2,5\nB,2024-03-08T14:30:00Z,3,4,3,4,6\n"
TEXT = (HEADER + ROWS).encode()


def bars_in(path: Path, **settings: object) -> list[list[object]]:
    bars = read_bars(path, "1m", Source.model_validate(settings))
    return bars[["symbol", "open_time", "high", "volume"]].to_numpy().tolist()


EXPECTED = [["A", 1_709_908_200_000, 2.0, 5.0], ["B", 1_709_908_200_000, 4.0, 6.0]]


@pytest.mark.parametrize("packing", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_a_text_however_it_is_packed(packing: str, tmp_path: Path) -> None:
    pack = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    pack[".zst"] = lambda data: pa.compress(data, "zstd", asbytes=True)
    path = tmp_path / f"bars.csv{packing}"
    path.write_bytes(pack[packing](TEXT))
    assert bars_in(path) == EXPECTED
    assert bars_in(tmp_path) == EXPECTED


def test_all_files_of_a_zip_and_no_marks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bars.zip", "w") as archive:
        archive.writestr("a.csv", HEADER + ROWS.splitlines()[0])
        archive.writestr("more/b.csv", HEADER + ROWS.splitlines()[1])
        archive.writestr("__MACOSX/._a.csv", "x")
    assert bars_in(tmp_path / "bars.zip") == EXPECTED


@pytest.mark.parametrize("kind", ["parquet", "pq", "feather", "arrow", "stream"])
def test_arrow_s_files(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"symbol": ["A", "B"], "timestamp": pd.to_datetime(["2024-03-08T14:30:00Z"] * 2)})
    table = pa.Table.from_pandas(frame.assign(open=[1, 3], high=[2, 4], low=[1, 3], close=[2, 4], volume=[5, 6]))
    path = tmp_path / f"bars.{kind.replace('stream', 'arrow')}"
    if kind in ("parquet", "pq"):
        pa.parquet.write_table(table, path)
    elif kind == "stream":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        pa.feather.write_feather(table, path)
    assert bars_in(path) == EXPECTED


def test_an_iceberg_table_is_what_its_log_says(tmp_path: Path) -> None:
    pytest.importorskip("pyiceberg")
    sql = pytest.importorskip("pyiceberg.catalog.sql")
    catalog = sql.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}/house")
    catalog.create_namespace("n")
    frame = pd.DataFrame({"symbol": ["A", "B"], "timestamp": pd.to_datetime(["2024-03-08T14:30:00Z"] * 2)})
    frame = frame.assign(open=[1.0, 3.0], high=[2.0, 4.0], low=[1.0, 3.0], close=[2.0, 4.0], volume=[5, 6])
    frame["timestamp"] = frame["timestamp"].astype("datetime64[us, UTC]")
    table = catalog.create_table("n.bars", schema=pa.Table.from_pandas(frame, preserve_index=False).schema)
    table.append(pa.Table.from_pandas(frame.assign(volume=99), preserve_index=False))
    table.overwrite(pa.Table.from_pandas(frame, preserve_index=False))
    folder = Path(table.location().removeprefix("file://"))
    assert bars_in(folder) == EXPECTED
    for one in ((folder / "data").glob("*.parquet"), [f"{folder}/data/*.parquet"]):
        with pytest.raises(ConfigurationError, match="is a file of a table of Iceberg, whose log says"):
            read_bars(list(one), "1m")


def test_a_document_of_a_list_for_each_column(tmp_path: Path) -> None:
    path = tmp_path / "bars.json"
    path.write_text('{"symbol": ["A"], "timestamp": ["2024-03-08T14:30:00Z"], "open": [1], "close": [2]}')
    with pytest.raises(ConfigurationError, match="holds a list for each column; write a row a line"):
        bars_in(path)


def misnamed() -> dict[str, tuple[bytes, str]]:
    """Name of a file → what is in it, and what is said of it."""
    packed, zipped, parquet, arrow = gzip.compress(TEXT), io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.csv", TEXT)
    frame = pd.DataFrame({"symbol": ["A"] * 9})
    frame.to_parquet(parquet)
    frame.to_feather(arrow)
    return {
        "bars.csv": (packed, r"by its first bytes it is gzip; call it bars\.csv\.gz"),
        "b.csv": (bz2.compress(TEXT), r"by its first bytes it is bzip2; call it b\.csv\.bz2"),
        "bars.json": (packed, r"by its first bytes it is gzip; call it bars\.json\.gz"),
        "zipped.csv": (zipped.getvalue(), r"by its first bytes it is a zip, or of Excel; call it zipped\.zip, or"),
        "columns.csv": (parquet.getvalue(), r"by its first bytes it is Parquet; call it columns\.parquet"),
        "columns.csv.gz": (parquet.getvalue(), r"by its first bytes it is Parquet; call it columns\.parquet"),
        "columns.parquet": (arrow.getvalue(), r"by its first bytes it is Arrow; call it columns\.arrow"),
        "plain.csv.gz": (TEXT, r"by its first bytes it is not packed; call it plain\.csv"),
        "text.parquet": (TEXT, r"by its first bytes it is no Parquet; call it text\.csv if it is CSV"),
        "twice.csv.gz": (gzip.compress(packed), "it is gzip once it is unpacked"),
        "bars.dat": (parquet.getvalue(), "its name says no kind of file that is read; it is Parquet: call it"),
        "noname": (TEXT, r"its name says no kind of file that is read; call it \.csv"),
        "store.csv": (b"SQLite format 3\0" + bytes(99), "by its first bytes it is a database of SQLite; export"),
    }


@pytest.mark.parametrize("name", misnamed())
def test_a_name_that_its_content_belies(name: str, tmp_path: Path) -> None:
    content, said = misnamed()[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{name}: (cannot be read: )?{said}") as fault:
        bars_in(tmp_path / name)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("word", ["ORCL", "BZh", "PAR1", "Obj", "PK"])
def test_a_text_may_begin_as_other_files_do(word: str, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(f"{word},2024-03-08T14:30:00Z,1,2,1,2,5\n")
    names = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    assert bars_in(tmp_path / "bars.csv", names=names) == [[word, EXPECTED[0][1], 2.0, 5.0]]


def test_a_packed_file_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv.gz"
    block = b"A,2024-03-08T14:30:00Z,1,2,1,2,5\n" * 40_000
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(HEADER.encode())
        for _ in range(220):
            file.write(block)
    with pytest.raises(ConfigurationError, match=r"unpacks to more than \d+ MB, 200 times its size"):
        read_bars(path, "1m")


def test_a_line_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(TEXT + b"A," + b"x" * (3 << 20))
    with pytest.raises(ConfigurationError, match="has a line of more than 1 MB"):
        read_bars(path, "1m")


@pytest.mark.parametrize("where", ["footer", "page"])
def test_a_damaged_parquet_file(where: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame = pd.DataFrame(
        {"symbol": ["A", "B"] * 500, "timestamp": range(1_709_908_200_000, 1_769_908_200_000, 60_000_000)}
    )
    frame = frame.assign(open=frame.index * 1.1 + 1, high=1e9, low=1.0, close=2.0, volume=frame.index)
    frame.to_parquet(path, compression="gzip")
    data = bytearray(path.read_bytes())
    spot = {"footer": slice(-200, -8), "page": slice(40, 400)}[where]
    data[spot] = b"\xff" * len(data[spot])
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"bars\.parquet: cannot be read") as error:
        read_bars(path, "1m")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv", b""), ("a.jsonl", b""), ("a.parquet", b""), ("a.zip", b"PK"), ("a.csv.gz", b"x")]
)
def test_an_empty_or_broken_file(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigurationError, match=rf"{name}.*: (cannot be|is empty)") as error:
        read_bars(tmp_path / name, "1m")
    assert "\n" not in str(error.value)
