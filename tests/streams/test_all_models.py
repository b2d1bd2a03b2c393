"""A strategy for each model that ships, trained, served live, killed, restarted, verified: one worker for all."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backtest.training import train
from backtest.verify.verify import verify
from plugins.models.artifacts.loading import read_manifest
from schemas.configuration import Config
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.topics import create_topics
from tests.support.live import (
    Producer,
    SignalCount,
    WorkerProcess,
    digest,
    minute_bars,
    random_kills,
    run_to_end,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)

MODELS: dict[str, dict[str, Any]] = {
    "ml.lightgbm": {"n_estimators": 20},
    "ml.xgboost": {"n_estimators": 20},
    "ml.catboost": {"iterations": 20},
    "ml.random_forest": {"n_estimators": 20},
    "dl.lstm": {"seq_len": 10, "hidden_size": 16, "lr": 0.01, "epochs": 5},
}
SIGNAL = {"key": "signal.threshold", "buy_threshold": 0.00005, "sell_threshold": -0.00005}


def strategies(folder: Path) -> dict[str, Any]:
    found = {}
    for key, params in MODELS.items():
        model = {"key": key, "artifact": str(folder / key), "params": params}
        found[key.partition(".")[2]] = strategy(model=model, signal=SIGNAL)
        del found[key.partition(".")[2]]["prediction"]
    return found


def trained(folder: Path, broker: Broker, name: str) -> tuple[Path, Config]:
    """A configuration with topics of its own; the models are trained on earlier bars at the first time."""
    file = folder / f"{name}.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}-{name}.", strategies(folder))
    for each in config.strategies:
        if not (folder / f"ml.{each}").exists() and not (folder / f"dl.{each}").exists():
            train(each, config, minute_bars(2_000))
    return file, config


def calm(folder: Path, broker: Broker, count: int) -> list[bytes]:
    file, config = trained(folder, broker, "calm")
    topics_and_bars(config, minute_bars(count))
    run_to_end(file, config, count * len(MODELS))
    return digest(config)


def check(folder: Path, broker: Broker, config: Config, count: int) -> None:
    signals = digest(config)
    assert len(signals) == count * len(MODELS)
    assert signals == calm(folder, broker, count)
    for name, plan in config.strategies.items():
        assert plan.model is not None
        sha256 = read_manifest(plan.model.artifact).sha256.encode()
        of_this = [signal for signal in signals if b'"strategy":"' + name.encode() in signal]
        assert len(of_this) == count
        assert all(sha256 in signal for signal in of_this)
        sides = {side for side in (b"BUY", b"SELL", b"HOLD") if any(side in signal for signal in of_this)}
        assert len(sides) == 3, f"{name} gave only {sides}"
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert verdict.unpublished == 0


def test_all_models_go_on_to_the_byte_after_a_kill(tmp_path: Path, tansu: TansuBroker) -> None:
    count = 1_000
    file, config = trained(tmp_path, tansu, "killed")
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, minute_bars(count), rate=400.0)
    producer.start()
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() > 300 * len(MODELS))
        worker.kill()
    producer.join()
    run_to_end(file, config, count * len(MODELS))
    check(tmp_path, tansu, config, count)


@pytest.mark.slow
def test_all_models_go_on_to_the_byte_on_kafka(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    count = 2_000
    file, config = trained(tmp_path, kafka, "killed")
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, minute_bars(count), rate=150.0)
    producer.start()
    random_kills(file, kills=3, seed=1, longest=2.0)
    producer.join()
    run_to_end(file, config, count * len(MODELS))
    check(tmp_path, kafka, config, count)
