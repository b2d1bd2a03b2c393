"""Records of an archive are columns: each is the record that Parquet holds, and together they are decoded alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.wire import Bar, encode
from streams.archive.parquet_log import ArchivedRecords, Segment, read_segment
from streams.consuming.bar_table import BarTable, offsets_of, records_at
from streams.consuming.intake import Intake
from streams.kafka.partitioner import PartitionerChange

MINUTE = 60_000
HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))


@dataclass(frozen=True)
class Kept:
    """A record by hand."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def value(symbol: str, minute: int) -> bytes:
    opened = minute * MINUTE
    return encode(Bar(symbol, "1m", opened, opened + MINUTE, 1.5, 2.0, 1.0, 1.25, float(minute)))


def kept(count: int) -> list[Kept]:
    """Many symbols; some records have no key, no value, other bytes, or headers; two offsets are missing."""
    records = []
    for number in range(count):
        symbol = f"S{number % 90}"
        key: bytes | None = symbol.encode()
        content: bytes | None = value(symbol, 1_000 + number // 90)
        match number % 41:
            case 3:
                key = None
            case 5:
                content = None
            case 7:
                content = b"{}"
            case 11:
                content = value(symbol, 1_000 + number // 90).replace(b'"S', b'"\\u0053')
        headers = (("h", b"\x00\xff"), ("h", b"")) if number % 50 == 2 else ()
        records.append(Kept(4, number + (number > 20) * 2, 1_000 + number, key, content, headers))
    return records


def table(records: list[Kept]) -> pa.Table:
    columns = {name: [getattr(each, name) for each in records] for name in ("partition", "offset", "timestamp")}
    columns["key"] = pa.array([each.key for each in records], pa.binary())
    columns["value"] = pa.array([each.value for each in records], pa.binary())
    headers = [[{"name": name, "value": content} for name, content in each.headers] for each in records]
    return pa.table(columns | {"headers": pa.array(headers, HEADERS)})


def plain(records: object) -> list[Kept]:
    return [Kept(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]  # type: ignore[attr-defined]


def test_each_is_the_record_that_is_there(tmp_path: Path) -> None:
    """Out of files that are not in order, as the days of records that came late are."""
    records = kept(400)
    names = ["later.parquet", "earlier.parquet"]
    for name, part in zip(names, (records[1::2], records[::2]), strict=True):
        pq.write_table(table(part), tmp_path / name)
    found = read_segment(tmp_path, Segment(0, 402, 400, names))
    assert plain(found) == records
    assert plain([found[0], found[-1], found[17]]) == [records[0], records[-1], records[17]]
    assert plain(found[10:300]) == records[10:300]
    assert plain(found[300:10]) == []
    assert plain(found[10:300:7]) == records[10:300:7]
    assert plain(records_at(found, [5, 5, 390])) == [records[5], records[5], records[390]]
    assert records_at(found, []) == []
    assert offsets_of(found[3:9]).tolist() == [each.offset for each in records[3:9]]
    with pytest.raises(IndexError):
        found[400]


def test_texts_of_several_pieces() -> None:
    records = kept(100)
    pieces = ArchivedRecords(pa.concat_tables([table(records[:30]), table(records[30:])]))
    for name in ("key", "value"):
        wanted = [getattr(each, name) or b"" for each in records[20:60]]
        data, ends = pieces[20:60].texts(name)
        assert data.tobytes() == b"".join(wanted)
        assert ends.tolist() == np.cumsum([len(text) for text in wanted]).tolist()
        assert not data.flags.writeable


@pytest.mark.parametrize("changes", [[], [PartitionerChange(0, "as_is", ""), PartitionerChange(170, "murmur2", "")]])
def test_columns_objects_and_one_at_a_time(changes: list[PartitionerChange]) -> None:
    """One at a time is by msgspec: the oracle. Together, the first records teach what the later ones are called."""
    records = kept(700)
    columns = ArchivedRecords(table(records))
    found = []
    for parts in ([columns], [records], [columns[:300], columns[300:]], [[each] for each in records]):
        intake = Intake(0, 2, "as_is", changes=changes)
        read = [intake.read(part) for part in parts]  # type: ignore[arg-type]
        batches = [one.batches["1m"] for one in read if one.batches]
        found.append(
            (
                [symbol for batch in batches for symbol in batch.symbols],
                np.concatenate([batch.bars for batch in batches]).tolist(),
                np.concatenate([batch.offsets for batch in batches]).tolist(),
                [(bad.record.offset, bad.kind, bad.reason) for one in read for bad in one.dead],
                [symbol for one in read for symbol in one.symbols],
            )
        )
    assert len(found[0][0]) > 250
    assert len(found[0][3]) > 40
    assert all(each == found[-1] for each in found)


def test_few_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """90 symbols are new in 2,000 records: most of these are plain once the first 64, and 128 more, were read."""
    put, records = [], [Kept(0, n, n, f"S{n % 90}".encode(), value(f"S{n % 90}", n)) for n in range(2_000)]
    monkeypatch.setattr(BarTable, "put", lambda table, row, *_: put.append(row))
    Intake(0, 1, "as_is").read(ArchivedRecords(table(records)))
    assert len(put) <= 64 + 128
