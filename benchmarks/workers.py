"""What a bar costs all workers together, in processor time, as there are more of them: 1 to 4 on 4 partitions."""

import asyncio
import contextlib
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.common import fill, generated_bars, growth, long_lived, worker, write_config
from streams.ingest.produce import produce_bars

SYMBOLS, EACH, ROUNDS = 500, 400, 3
SETTLING = 20
"""Times of bars that come first: the group has settled, and everything is compiled."""


def processor_time(pid: int) -> float:
    """Seconds, by the system's count, of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(folder: Path, bootstrap: str, count: int, number: int) -> float:
    """Microseconds of all workers' processor time a bar."""
    bars = generated_bars(SYMBOLS, EACH)
    first = SETTLING * SYMBOLS
    path, config = write_config(folder, bootstrap, f"workers{count}-{number}.")
    fill(config, bars.iloc[:first])
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(worker(path)).pid for _ in range(count)]
        asyncio.run(growth(config, "signals", first))
        before = sum(map(processor_time, pids))
        asyncio.run(produce_bars(config.kafka, bars.iloc[first:]))
        asyncio.run(growth(config, "signals", len(bars)))
        spent = sum(map(processor_time, pids)) - before
    return 1e6 * spent / (len(bars) - first)


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, long_lived(engine) as broker:
        for count in (1, 2, 3, 4):
            each = [cost(Path(folder), broker.bootstrap, count, number) for number in range(ROUNDS)]
            print(f"workers  {count}   {statistics.median(each):6.2f} \u00b5s of processor a bar, all together")
