"""From the start of a worker process to its partitions being restored: cold (nothing compiled yet) and warm.

Half the broker's session timeout of it is Tansu's way of forming a group; the yardstick is a bare consumer that joins
the same broker's group.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import worker, write_config
from benchmarks.restore import wait_for_line
from schemas.configuration import Config
from streams.kafka.brokers import ENGINES, Broker
from streams.kafka.clients import open_consumer
from streams.kafka.topics import create_topics, topic_name

ROUNDS = 3


def start(path: Path) -> float:
    log = path.with_suffix(".log")
    before = len(log.read_text()) if log.exists() else 0
    began = time.perf_counter()
    with worker(path):
        wait_for_line(log, r"restored in", before)
        return time.perf_counter() - began


async def join(config: Config, group: str) -> float:
    """A bare aiokafka consumer until it has its partitions."""
    began = time.perf_counter()
    session = int(config.kafka.session_timeout * 1000)
    async with open_consumer(
        config.kafka, topic_name(config.kafka, "bars"), group_id=group, session_timeout_ms=session
    ) as consumer:
        while not consumer.assignment():
            await asyncio.sleep(0.01)
        return time.perf_counter() - began


def measure(broker: Broker, folder: Path) -> dict[str, float]:
    path, config = write_config(folder, broker.bootstrap, "start.")
    asyncio.run(create_topics(config.kafka))
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")
    try:
        cold, *warm = [start(path) for _ in range(1 + ROUNDS)]
    finally:
        del os.environ["NUMBA_CACHE_DIR"]
    joins = [asyncio.run(join(config, f"bare{number}")) for number in range(ROUNDS)]
    return {
        "cold, s": cold,
        "warm, s": statistics.median(warm),
        "bare consumer's join, s": statistics.median(joins),
        "warm without the join, s": statistics.median(warm) - statistics.median(joins),
    }


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, ENGINES[engine]() as broker:
        for name, value in measure(broker, Path(folder)).items():
            print(f"start       {name:<25} {value:12,.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
