"""Where a run takes place: its configuration and topics, and the same bars in a world without faults."""

import asyncio
from pathlib import Path
from typing import Any

import yaml

from schemas.configuration import Config, load_config
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics, topic_name
from streams.recovery.state import load
from tests.faults.bars import SYMBOLS
from tests.support.live import WorkerProcess, strategy, wait_for

PARTITIONS = 4
SESSION = 1.5
STRATEGIES = {
    "demo": strategy(),
    "quiet": strategy(publish="changes", heartbeat="5m"),
    "some": strategy(universe=["SPY", *SYMBOLS[:5]], features=["technical.rsi"]),
}
WORKER = {
    "http": False, "commit_interval": 0.1, "snapshot_interval": 1.0, "chunk": 100,
    "delivery_timeout": 30.0, "stall_timeout": 30.0, "stop_timeout": 15.0,
}  # fmt: skip


def setting(
    folder: Path,
    name: str,
    bootstrap: str,
    changes: dict[str, Any] | None = None,
    strategies: dict[str, Any] | None = None,
    **worker: Any,
) -> tuple[Path, Config]:
    """The configuration of a run, its file, and its topics."""
    kafka = {
        "bootstrap": bootstrap, "prefix": f"{name}.", "group": name, "session_timeout": SESSION,
        "partitions": PARTITIONS,
    } | (changes or {})  # fmt: skip
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"kafka": kafka, "worker": WORKER | worker, "strategies": strategies or STRATEGIES}))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    return file, config


def undisturbed(file: Path, config: Config, bars: dict[int, list[Any]]) -> Config:
    """The oracle: the same bars at the same offsets under another prefix, and one worker that nobody disturbs."""
    settings = yaml.safe_load(file.read_text())
    settings["kafka"] |= {"prefix": f"calm-{config.kafka.prefix}", "group": f"calm-{config.kafka.group}"}
    settings["worker"] |= {"chunk": 2000}
    calm_file = file.with_name(f"calm-{file.name}")
    calm_file.write_text(yaml.safe_dump(settings))
    calm = load_config(calm_file)
    asyncio.run(_copy(calm, bars))
    with WorkerProcess(calm_file) as worker:
        wait_for(worker.ready)
        wait_for(lambda: worker.process.poll() is not None or _done(calm, bars), 300.0, every=0.5)
        assert worker.stop() == 0
    return calm


async def _copy(calm: Config, bars: dict[int, list[Any]]) -> None:
    await create_topics(calm.kafka)
    topic = topic_name(calm.kafka, "bars")
    async with open_producer(calm.kafka, enable_idempotence=True, linger_ms=5) as producer:
        for partition, some in bars.items():
            futures = [
                await producer.send(topic, r.value, key=r.key, partition=partition, timestamp_ms=r.timestamp)
                for r in some
            ]
            for record, sent in zip(some, await asyncio.gather(*futures), strict=True):
                assert record.offset == sent.offset


def _done(calm: Config, bars: dict[int, list[Any]]) -> bool:
    async def run() -> bool:
        markers = [(await load(KafkaLog(calm.kafka), partition)).marker for partition in bars]
        return all(
            not some or (marker is not None and marker.offset >= len(some))
            for marker, some in zip(markers, bars.values(), strict=True)
        )

    return asyncio.run(run())
