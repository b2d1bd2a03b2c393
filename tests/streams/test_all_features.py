"""A strategy with every feature that needs no news, and a signal with a memory: killed, restarted, verified."""

import asyncio
from pathlib import Path
from typing import Any

from backtest.verify.verify import verify
from plugins.features import feature_registry
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.support.live import (
    Producer,
    SignalCount,
    WorkerProcess,
    digest,
    minute_bars,
    run_to_end,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)

BARS = minute_bars(1_500)
KEYS = [key for key in feature_registry.list_keys() if key.split(".")[0] in ("technical", "statistical", "automated")]
SIGNAL = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 30, "clip_min": -2, "clip_max": 2}
STRATEGIES: dict[str, Any] = {"demo": strategy(features=KEYS, prediction="mean_reversion", signal=SIGNAL)}


def calm(folder: Path, broker: Broker) -> list[bytes]:
    file = folder / "calm.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}-calm.", STRATEGIES)
    topics_and_bars(config, BARS)
    run_to_end(file, config, len(BARS))
    return digest(config)


def test_all_features_go_on_to_the_byte_after_a_kill(tmp_path: Path, broker: Broker) -> None:
    assert len(KEYS) == 8
    file = tmp_path / "killed.yaml"
    config = write_config(file, broker.bootstrap, f"{tmp_path.name}-killed.", STRATEGIES)
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, BARS, rate=400.0)
    producer.start()
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() > 500)  # some rounds of snapshots are on the log by now
        worker.kill()
    producer.join()
    run_to_end(file, config, len(BARS))
    log = file.with_suffix(".log").read_text()
    assert log.count("restored in") >= 2
    assert digest(config) == calm(tmp_path, broker)
    verdict = verify(config, "demo")
    assert verdict.ok, verdict.differences[:3]
    assert verdict.unpublished == 0
