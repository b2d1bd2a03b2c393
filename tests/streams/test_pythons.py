"""A worker killed on one Python, its work continued on a second, verified on a third: byte for byte."""

import asyncio
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from backtest.training import train
from plugins.features import feature_registry
from schemas.configuration import Config
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from tests.support.forked import ROOT
from tests.support.live import (
    Producer,
    SignalCount,
    WorkerProcess,
    digest,
    minute_bars,
    records,
    run_to_end,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
FEATURES = [key for key in feature_registry.list_keys() if key.split(".")[0] in ("technical", "statistical")]
LONG_SHORT = {"key": "signal.long_short", "scaling": "zscore", "zscore_window": 30, "clip_min": -2, "clip_max": 2}
THRESHOLD = {"key": "signal.threshold", "buy_threshold": 0.00005, "sell_threshold": -0.00005}
MODELS: dict[str, dict[str, Any]] = {
    "ml.lightgbm": {"n_estimators": 20},
    "dl.lstm": {"seq_len": 10, "hidden_size": 16, "lr": 0.01, "epochs": 5},
}
BARS = 1_000


@cache
def interpreters() -> dict[str, str]:
    """The supported Pythons of this machine, each with all libraries: this one, and those of ``make venv-3.12`` etc.,
    which stay for the next time.
    """
    here = ".".join(map(str, sys.version_info[:2]))
    pythons = {here: sys.executable}
    for version in VERSIONS:
        if version != here:
            subprocess.run(["make", f"venv-{version}"], cwd=ROOT, check=True)
            if (ROOT / f".venv-{version}/.dev").exists():
                pythons[version] = str(ROOT / f".venv-{version}/bin/python")
    return {version: pythons[version] for version in VERSIONS if version in pythons}


def in_turn(first: str) -> tuple[str, str, str]:
    """`first`, the next one and the one after that, which is the first again where there are two."""
    pythons = interpreters()
    if first not in pythons:
        pytest.skip(f"this machine has no Python {first}")
    if len(pythons) == 1:
        pytest.skip(f"this machine has no other supported Python than {first}")
    versions = list(pythons)
    place = versions.index(first)
    one, two, three = (pythons[versions[(place + turn) % len(versions)]] for turn in range(3))
    return one, two, three


def strategies(folder: Path) -> dict[str, Any]:
    plans = {"features": strategy(features=FEATURES, prediction="mean_reversion", signal=LONG_SHORT)}
    for key, params in MODELS.items():
        model = {"key": key, "artifact": str(folder / key), "params": params}
        plans[key.partition(".")[2]] = strategy(model=model, signal=THRESHOLD, prediction=None)
    return plans


def written(folder: Path, broker: Broker, name: str) -> tuple[Path, Config]:
    """A configuration file with topics of its own, and what it says."""
    file = folder / f"{name}.yaml"
    return file, write_config(file, broker.bootstrap, f"{folder.name}-{name}.", strategies(folder))


def has_snapshots(config: Config) -> bool:
    """Whether each partition has a complete round of snapshots, from which the next worker goes on."""
    rosters = {record.partition for record in records(config, "state") if record.key.endswith(b"/roster")}
    return len(rosters) == config.kafka.partitions


def killed_then_continued(file: Path, config: Config, first: str, second: str) -> None:
    """The first worker dies while bars come in; the last of them come only then, so the second has its part."""
    bars, strategies = minute_bars(BARS), len(config.strategies)
    topics_and_bars(config, bars[:500])
    producer = Producer(config, bars[500:800], rate=100.0)
    signals = SignalCount(config)
    with WorkerProcess(file, python=first) as worker:
        wait_for(signals)
        producer.start()
        wait_for(lambda: signals() > 550 * strategies and has_snapshots(config))
        worker.kill()
    producer.join()
    asyncio.run(produce_bars(config.kafka, bars[800:]))
    run_to_end(file, config, BARS * strategies, python=second)


@pytest.mark.nightly
@pytest.mark.parametrize("version", VERSIONS)
def test_any_python_continues_what_another_began(version: str, tmp_path: Path, broker: Broker) -> None:
    first, second, third = in_turn(version)
    file, config = written(tmp_path, broker, "killed")
    for name, plan in config.strategies.items():
        if plan.model is not None:
            train(name, config, minute_bars(2_000))
    killed_then_continued(file, config, first, second)

    calm, undisturbed = written(tmp_path, broker, "calm")
    topics_and_bars(undisturbed, minute_bars(BARS))
    run_to_end(calm, undisturbed, BARS * len(config.strategies), python=first)

    signals = digest(config)
    assert len(signals) == BARS * len(config.strategies)
    assert signals == digest(undisturbed)
    for name in config.strategies:
        command = [third, "-m", "alphawire", "verify", name, "-c", str(file), "--json"]
        verdict = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        distinct = verdict["signals"] - verdict["repeats"]  # at least once, a kill makes some come twice
        assert (verdict["ok"], distinct, verdict["unpublished"]) == (True, BARS, 0)
