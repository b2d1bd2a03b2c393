"""A running strategy is changed: the owner writes what is in force, and from where; the others go on meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.wire import Applied, Signal
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.support.deadlines import deadline
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, strategy, wait_for, write_config

THRESHOLD = {"signal": {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}}
FEATURES = {"features": ["technical.rsi", {"statistical.z_score": {"window": 7}}]}


def lives(folder: Path, bootstrap: str, name: str, bars: pd.DataFrame, stages: list[dict[str, Any]]) -> Config:
    """A worker for each stage, with the changes of strategy `moving` that it names, over a part of the bars."""
    prefix, size, file = f"{name}.", len(bars) // len(stages), folder / f"{name}.yaml"
    done, signals, config = 0, None, None
    for number, changes in enumerate(stages):
        strategies = {"still": strategy(), "moving": strategy(**changes)}
        config = write_config(file, bootstrap, prefix, strategies)
        if signals is None:
            asyncio.run(create_topics(config.kafka))
            signals = SignalCount(config)
        part = bars.iloc[done : len(bars) if number == len(stages) - 1 else done + size]
        asyncio.run(produce_bars(config.kafka, part))
        done += len(part)
        with WorkerProcess(file) as worker:
            wait_for(lambda: signals() >= 2 * done or worker.process.poll() is not None, 90)  # noqa: B023
            assert worker.stop() == 0
    assert config is not None
    return config


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return minute_bars(1_500)


def test_each_signal_is_that_of_the_configuration_in_force(broker: Broker, tmp_path: Path, bars: pd.DataFrame) -> None:
    config = lives(tmp_path, broker.bootstrap, f"changes-{broker.kind}", bars, [{}, THRESHOLD, FEATURES])
    applied = [msgspec.json.decode(r.value, type=Applied) for r in records(config, "control")]
    moving = [entry for entry in applied if entry.strategy == "moving" and entry.partition == 0]
    assert len({entry.config_hash for entry in moving}) == len(moving) == 3
    assert [entry.origin.offset for entry in moving] == [0, 0, 0]
    offsets = [entry.offset for entry in moving]
    assert offsets == sorted(set(offsets))

    signals = [msgspec.json.decode(r.value, type=Signal) for r in records(config, "signals")]
    assert len({s.content.id for s in signals}) == 2 * len(bars)
    if broker.kind == "kafka":
        assert len(signals) == 2 * len(bars)
    for signal in signals:
        if signal.content.strategy == "moving" and signal.provenance.partition == 0:
            force = [entry for entry in moving if entry.offset <= signal.provenance.offset][-1]
            assert signal.content.config_hash == force.config_hash
    for name in ("still", "moving"):
        verdict = verify(config, name)
        assert verdict.ok, (verdict.not_reproducible, verdict.differences[:3])
        assert verdict.equal == len(bars)


def test_a_new_strategy_catches_up_beside_the_others(broker: Broker, tmp_path: Path, bars: pd.DataFrame) -> None:
    """It publishes from the beginning of the log while the old one goes on from its snapshots."""
    prefix, file = f"beside-{broker.kind}.", tmp_path / "beside.yaml"
    config = write_config(file, broker.bootstrap, prefix, {"old": strategy()})
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, bars.iloc[:1_000]))
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 1_000)
        wait_for(lambda: b'"kind":"roster"' in b"".join(r.value or b"" for r in records(config, "state")))
        assert worker.stop() == 0
    config = write_config(file, broker.bootstrap, prefix, {"old": strategy(), "new": strategy(**FEATURES)})
    with WorkerProcess(file) as worker:
        asyncio.run(produce_bars(config.kafka, bars.iloc[1_000:]))
        wait_for(lambda: signals() == 2 * len(bars) or worker.process.poll() is not None)
        assert worker.stop() == 0
    said = file.with_suffix(".log").read_text()
    assert "new is folded again from offset 0, beside the others: new is not in the last round" in said
    assert "new joined the others at offset" in said
    assert "states are folded again" not in said
    assert verify(config, "old").ok
    verdict = verify(config, "new")
    assert verdict.ok
    assert verdict.equal == len(bars)


def test_a_worker_with_older_plugins_refuses_the_partition(tansu: Broker, tmp_path: Path, bars: pd.DataFrame) -> None:
    plugin = tmp_path / "mine.py"
    source = '''
import pandas as pd
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("mydesk.range")
class Range(BaseFeature):
    """High less low."""
    version = "2"
    lookback = 1
    outputs = ("rsi",)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"rsi": data["high"] - data["low"]})
'''
    plugin.write_text(source)
    file = tmp_path / "older.yaml"
    config = write_config(file, tansu.bootstrap, "older.", {"demo": strategy(features=["mydesk.range"])})
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, bars.iloc[:50]))
    signals = SignalCount(config)
    with WorkerProcess(file, "--plugins", str(plugin)) as worker:
        wait_for(lambda: signals() == 50)
        assert worker.stop() == 0
    plugin.write_text(source.replace('"2"', '"1"'))
    with WorkerProcess(file, "--plugins", str(plugin)) as worker:
        assert worker.process.wait(timeout=deadline(60)) == 2
    said = file.with_suffix(".log").read_text()
    assert "runs with mydesk.range version 2 on older.bars/" in said
    assert "and this worker has version 1: update it" in said
