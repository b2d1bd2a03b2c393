"""Models exchanged under load: latency from a bar's sending to its signal, at 2,000 bars a second, with a swap each
second against the same run without any; and bars without a prediction.
"""

import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from backtest.training import train
from benchmarks.common import generated_bars, long_lived, worker, write_config
from benchmarks.latency import SECONDS, delays, quantiles
from plugins.models.artifacts.manifest import read_manifest
from schemas.configuration import Config
from schemas.wire import Applied, Signal, Use
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from streams.recovery.state import decode_applied
from streams.requests.control_topic import send_by

RATE = 2_000
SWAPS = SECONDS - 4


async def swaps(config: Config, folder: Path) -> None:
    """One a second, back and forth, after the warm-up; by a client that is there already, for this process is the one
    that reads the clock.
    """
    uses = [Use("", "demo", name, read_manifest(folder / name).sha256) for name in ("other", "model")]
    async with open_producer(config.kafka) as producer:
        for number in range(SWAPS):
            await asyncio.sleep(1 if number else 3)
            await send_by(producer, config.kafka, msgspec.structs.replace(uses[number % 2], id=f"swap-{number}"))


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
    """Calm and with swaps in turn, the delays of each kind pooled; the first runs warm the broker up and count
    nowhere (seen: its median halves over them).
    """
    pooled: dict[str, list[float]] = {"calm": [], "swaps": []}
    number = silent = 0
    with tempfile.TemporaryDirectory() as text, long_lived(engine) as broker:
        for turn, name in enumerate(("warm", "warm", "warm", *3 * ("calm", "swaps"))):
            config, measured = _run(Path(text), broker.bootstrap, f"{name}{turn}.", engine, with_swaps=name == "swaps")
            pooled.setdefault(name, []).extend(measured)
            print(f"swap        {name + ' p50, p99, ms':<26} {' '.join(f'{ms:8.2f}' for ms in quantiles(measured))}")
            if name == "swaps":
                applied, unsaid = asyncio.run(outcome(config))
                number, silent = number + applied, silent + unsaid
    calm, swapped = quantiles(pooled["calm"]), quantiles(pooled["swaps"])
    print(f"swap        swaps/calm p50, p99        {swapped[0] / calm[0]:8.2f} {swapped[1] / calm[1]:8.2f}")
    print(f"swap        swaps applied              {number:8}")
    print(f"swap        bars without a prediction  {silent:8}")


def _run(folder: Path, bootstrap: str, prefix: str, engine: str, with_swaps: bool) -> tuple[Config, list[float]]:
    path, config = write_config(folder, bootstrap, prefix)
    if not (folder / "other").exists():
        train("demo", config, generated_bars(20, 1_000, seed=2), out=folder / "other")
    asyncio.run(create_topics(config.kafka))
    happening = partial(swaps, config, folder) if with_swaps else None
    with worker(path):
        return config, asyncio.run(delays(config, topic_name(config.kafka, "signals"), engine, RATE, happening))


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
