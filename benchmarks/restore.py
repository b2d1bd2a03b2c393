"""5,000 symbols: the worker's memory, and how long a restart takes to have their states back from the log."""

import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import fill, generated_bars, growth, worker, write_config
from schemas.configuration import Config
from streams.kafka.brokers import ENGINES, Broker
from streams.kafka.clients import read_partition_to_end
from streams.kafka.topics import create_topics, topic_name

SYMBOLS, EACH = 5_000, 60


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def wait_for_line(log: Path, pattern: str, after: int = 0, seconds: float = 120.0) -> re.Match[str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if log.exists() and (match := re.search(pattern, log.read_text()[after:])):
            return match
        time.sleep(0.02)
    raise TimeoutError(f"{pattern!r} did not come in {log}")


async def snapshots(config: Config) -> int:
    """Bytes of the snapshots on the state topic."""
    total = 0
    for partition in range(config.kafka.partitions):
        async for record in read_partition_to_end(config.kafka, topic_name(config.kafka, "state"), partition):
            if record.value and b'"kind":"snapshot"' in record.value[:64]:
                total += len(record.value)
    return total


def idle(broker: Broker, folder: Path) -> float:
    """Megabytes of a worker that has read nothing yet."""
    path, config = write_config(folder, broker.bootstrap, "idle.")
    asyncio.run(create_topics(config.kafka))
    with worker(path) as process:
        wait_for_line(path.with_suffix(".log"), r"restored in")
        return resident_mb(process.pid)


def measure(broker: Broker, folder: Path) -> dict[str, float]:
    bars = generated_bars(SYMBOLS, EACH)
    path, config = write_config(folder, broker.bootstrap, "state.", snapshot_interval=1.0)
    fill(config, bars)
    log = path.with_suffix(".log")
    with worker(path) as process:
        asyncio.run(growth(config, "signals", len(bars)))
        memory = resident_mb(process.pid)
        fill(config, generated_bars(SYMBOLS, EACH + 1).iloc[SYMBOLS * EACH :])
        asyncio.run(growth(config, "signals", len(bars) + SYMBOLS))
        time.sleep(3)
    begun = len(log.read_text())
    with worker(path):
        restored = float(wait_for_line(log, r"restored in ([0-9.]+) s", begun)[1])
    stored = asyncio.run(snapshots(config))
    return {"resident, MB": memory, "snapshots on the log, MB": stored / 1e6, "restore, s": restored}


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as folder, ENGINES[engine]() as broker:
        for name, value in measure(broker, Path(folder)).items():
            print(f"5000 symbols {name:<25} {value:12,.2f}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
