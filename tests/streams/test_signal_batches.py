"""Batches of signal rows are, byte for byte, what aiokafka's own builder makes of the same records one by one."""

import asyncio
import functools
import gzip
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.record.default_records import DefaultRecordBatch

from plugins.pipeline.records.rendering import SignalTexts
from plugins.pipeline.records.signals import SignalColumns
from streams.kafka.row_batches import RecordRows
from streams.publishing.writer import Record, Writer, each_record
from tests.plugins.test_signal_bytes import READY, of_columns

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def rows(seed: int, count: int, topic: str = "signals") -> RecordRows:
    published, decided = of_columns(np.random.default_rng(seed), count)
    return RecordRows(topic, SignalColumns(published, READY, decided, SignalTexts()).rendered())


async def batches(output: list[Any], size: int, codec: int, transactional: bool) -> list[tuple[Any, bytes]]:
    manager = SimpleNamespace(transactional_id="t") if transactional else None
    accumulator = MessageAccumulator(None, size, codec, 30.0, txn_manager=manager)
    producer: Any = SimpleNamespace(_message_accumulator=accumulator, create_batch=accumulator.create_builder)
    made = []
    for place, batch in Writer(producer)._batches(3, output):
        assert batch.size() <= size or batch.record_count() == 1
        batch._set_producer_state(producer_id=77, producer_epoch=3, base_sequence=1234)
        count = batch.record_count()
        made.append((place, bytes(batch._build())))
        read = DefaultRecordBatch(made[-1][1])
        assert read.validate_crc()
        assert len(list(read)) == count
    return made


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("transactional", [False, True])
def test_the_bytes_are_those_of_records_one_by_one(
    codec: str, transactional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # gzip writes down when it packed
    monkeypatch.setattr(gzip, "GzipFile", functools.partial(gzip.GzipFile, mtime=0))
    output = [rows(1, 1), rows(2, 300), rows(3, 40)]
    # of single records aiokafka's two builders think otherwise about whether compression is worth it
    for size in (1 << 20, 16_384, 8_000) if CODECS[codec] else (1 << 20, 16_384, 3_000, 200):
        of_rows = asyncio.run(batches(output, size, CODECS[codec], transactional))
        assert of_rows == asyncio.run(batches(list(each_record(output)), size, CODECS[codec], transactional))
        assert len(of_rows) > (size < 1 << 20)


def test_rows_and_records_of_one_topic_stay_in_order() -> None:
    first, last = Record("signals", b"a", b"first", 1), Record("signals", b"z", b"last", 2)
    made = asyncio.run(batches([first, rows(1, 2), last, Record("other", None, b"", 3)], 1 << 20, 0, False))
    values = [[record.value for record in DefaultRecordBatch(data)] for place, data in made if place == ("signals", 3)]
    assert [len(batch) for batch in values] == [1, 2, 1]
    assert (values[0], values[-1]) == ([b"first"], [b"last"])
    assert {place for place, _ in made} == {("signals", 3), ("other", 3)}
