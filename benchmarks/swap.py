"""Models exchanged under load: latency from a bar's sending to its signal, at 2,000 bars a second, with a swap each
second against the same run without any; and bars without a prediction.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec

from backtest.training import train
from benchmarks.common import generated_bars, worker, write_config
from benchmarks.latency import SECONDS, delays, quantiles
from plugins.manifest import read_manifest
from schemas.config import Config
from schemas.messages import Applied, Signal, Use
from streams.brokers import ENGINES
from streams.clients import read_partition_to_end
from streams.control import send
from streams.state import decode_applied
from streams.topics import create_topics, topic_name

RATE = 2_000
SWAPS = SECONDS - 4


async def swaps(config: Config, folder: Path) -> None:
    """One a second, back and forth, after the warm-up."""
    for number in range(SWAPS):
        await asyncio.sleep(1 if number else 3)
        name = ("other", "model")[number % 2]
        await send(config.kafka, Use(f"swap-{number}", "demo", name, read_manifest(folder / name).sha256))


async def outcome(config: Config) -> tuple[int, int]:
    """Swaps applied, and signals without a prediction though the features were warm."""
    applied: list[Applied] = []
    silent = 0
    for number in range(config.kafka.partitions):
        async for record in read_partition_to_end(config.kafka, topic_name(config.kafka, "control"), number):
            applied += [entry] if (entry := decode_applied(record.value)) else []
        async for record in read_partition_to_end(config.kafka, topic_name(config.kafka, "signals"), number):
            content = msgspec.json.decode(record.value or b"", type=Signal).content
            silent += content.prediction is None and not content.reason.startswith("warming up")
    return len(applied) - config.kafka.partitions, silent


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as text, ENGINES[engine]() as broker:
        folder, results = Path(text), {}
        for name in ("calm", "swaps"):
            path, config = write_config(folder, broker.bootstrap, f"{name}.")
            if not (folder / "other").exists():
                train("demo", config, generated_bars(20, 1_000, seed=2), out=folder / "other")
            asyncio.run(create_topics(config.kafka))
            with worker(path):
                happening = (lambda config=config: swaps(config, folder)) if name == "swaps" else None
                measured = delays(config, topic_name(config.kafka, "signals"), engine, RATE, happening)
                results[name] = quantiles(asyncio.run(measured))
            p50, p99 = results[name]
            print(f"swap        {name + ' p50, p99, ms':<26} {p50:8.2f} {p99:8.2f}")
        number, silent = asyncio.run(outcome(config))
        print(f"swap        swaps/calm p99             {results['swaps'][1] / results['calm'][1]:8.2f}")
        print(f"swap        swaps applied              {number:8}")
        print(f"swap        bars without a prediction  {silent:8}")


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
