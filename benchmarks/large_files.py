"""Bars from a file that is larger than memory should be, and from Parquet to a topic.

`rows` of Parquet, written in the order of symbols (which is none of time), are read to the end in a process of their
own: its peak of resident memory. And a smaller file to a topic by what ``alphawire produce`` calls, against a bare
aiokafka producer that sends the same encoded bars by `send_batch`; medians of rounds in each of which both are
measured, on the wall.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import generated_bars, long_lived
from schemas.configuration import Kafka
from streams.ingest.bar_rows import BarRows
from streams.ingest.ordered.bar_stream import open_bars
from streams.ingest.produce import Chosen, produce_bars
from streams.ingest.sender import open_sender
from streams.kafka.topics import create_topics

ROWS, SYMBOLS = 50_000_000, 1_000
SENT_SYMBOLS, EACH, ROUNDS = 500, 800, 5
NEEDED = {"parquet to topic / bare send_batch": 0.7}


def write_large(path: Path, rows: int = ROWS) -> None:
    """Minute bars of `SYMBOLS`, one symbol after the other, a group of rows each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    each = rows // SYMBOLS
    times = pa.array(1_380_000_000_000 + 60_000 * np.arange(each), pa.timestamp("ms", "UTC"))
    rng, writer = np.random.default_rng(3), None
    for number in range(SYMBOLS):
        closes = (100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, each)))).round(4)
        data = {"symbol": pa.array([f"S{number:04}"] * each), "timestamp": times, "open": closes}
        data |= {"high": closes + 0.01, "low": closes - 0.01, "close": closes}
        table = pa.table(data | {"volume": rng.integers(1, 10_000, each).astype(float)})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def read_all(path: str) -> None:
    """All bars, in order; prints how many, the peak of memory in MB, and the seconds of the processor."""
    count, last = 0, 0
    with open_bars(path, "1m") as bars:
        for frame in bars.chunks():
            count += len(frame)
            first = int(frame["close_time"].iloc[0])
            if first < last:
                raise SystemExit("out of order")
            last = int(frame["close_time"].iloc[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(count, round(peak), round(time.process_time(), 1))


def peak_of(rows: int) -> tuple[int, int, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bars.parquet")
        write_large(path, rows)
        command = [sys.executable, "-m", "benchmarks.large_files", "--read", str(path)]
        count, peak, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(count), int(peak), float(seconds)


async def bare(kafka: Kafka, frame: pd.DataFrame) -> float:
    """The same records, encoded before, by a producer with the same settings."""
    from collections import deque

    rows = BarRows("bars", kafka.partitioner, kafka.partitions)
    steps = (frame.iloc[first : first + 4_000] for first in range(0, len(frame), 4_000))
    lines = [(line, place) for step in steps for place, some in rows.of(step) for line in some.key_values()]
    async with open_sender(kafka, "bars", None) as sender:
        producer, topic, waiting = sender._producer, sender._topic, deque()
        began = time.perf_counter()
        open_ones: dict[int, object] = {}
        for (key, value, at), place in lines:
            batch = open_ones.get(place)
            if batch is None or batch.append(key=key, value=value, timestamp=at) is None:
                if batch is not None:
                    batch.close()
                    waiting.append(await producer.send_batch(batch, topic, partition=place))
                open_ones[place] = batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=at)
            while len(waiting) > 64:
                await waiting.popleft()
        for place, batch in open_ones.items():
            batch.close()
            waiting.append(await producer.send_batch(batch, topic, partition=place))
        for future in waiting:
            await future
        return time.perf_counter() - began


def ours(kafka: Kafka, path: Path) -> float:
    began = time.perf_counter()
    with open_bars(path, "1m") as bars:
        chosen = Chosen(bars.survey.symbols, None, None, None, lambda: 10**15)
        asyncio.run(produce_bars(kafka, chosen.of(bars.chunks())))
    return time.perf_counter() - began


def to_topic(engine: str) -> None:
    frame, found = generated_bars(SENT_SYMBOLS, EACH), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, long_lived(engine) as broker:
        path = Path(folder, "bars.parquet")
        frame.to_parquet(path, index=False)
        for number in range(ROUNDS + 1):
            kafka = Kafka(bootstrap=broker.bootstrap, prefix=f"b{number}.", partitions=4)
            asyncio.run(create_topics(kafka))
            found["bare send_batch"].append(len(frame) / asyncio.run(bare(kafka, frame)))
            found["parquet to topic"].append(len(frame) / ours(kafka, path))
    rates = {name: statistics.median(values[1:]) for name, values in found.items()}  # the first warms up
    for name, rate in rates.items():
        print(f"large_files  {name:<36} {rate:12,.0f} bars/s")
    for name, needed in NEEDED.items():
        one, other = name.split(" / ")
        print(f"large_files  {name:<36} {rates[one] / rates[other]:12.2f}   (needed {needed})")


def main(engine: str) -> None:
    to_topic(engine)
    count, peak, seconds = peak_of(ROWS)
    print(f"large_files  {f'peak memory of {count:,} rows':<36} {peak:12,} MB   (at most 1,000; {seconds:,.0f} s)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read_all(sys.argv[2])
    else:
        main("kafka" if "--kafka" in sys.argv else "tansu")
