"""Shadows beside running strategies: a row model, one with a state of its own, one whose artifact is damaged.

Oracle: pipelines over the same log, without a shadow for the signals, with it for what shadows say.
"""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from alphawire import __version__
from alphawire.cli import cli
from backtest.verify.verify import verify
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.wire import ShadowPrediction, encode
from streams.consuming.intake import Intake
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics, topic_name
from streams.owners.shadows import load_shadows
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, wait_for, write_config
from tests.support.memory import with_shadows
from tests.support.swaps import bad_artifacts, modelled, save_model

COUNT = 400
BARS = minute_bars(COUNT)
SHADOWS = {"rows": ("b", "ml.lightgbm"), "looking": ("lstm", "dl.lstm"), "damaged": ("tampered", "ml.lightgbm")}


def strategies(folder: Path) -> dict[str, Any]:
    models = folder / "models"
    save_model(models / "a", 0)
    save_model(models / "b", 1)
    save_model(models / "lstm", 2, key="dl.lstm", seq_len=9, hidden_size=4, epochs=1)
    bad_artifacts(models)
    return {
        name: modelled(models) | {"shadow": {"key": key, "artifact": str(models / artifact)}}
        for name, (artifact, key) in SHADOWS.items()
    }


def at_once(config: Config) -> tuple[set[bytes], set[bytes]]:
    """Signals without shadows, and what shadows say beside them, of all partitions."""
    ready = [ready_strategy(name, strategy) for name, strategy in config.strategies.items()]
    beside = with_shadows(load_shadows(ready, config.strategies))
    signals, said, topic = set[bytes](), set[bytes](), topic_name(config.kafka, "bars")
    bars = records(config, "bars")
    for number in range(config.kafka.partitions):
        batches = Intake(number, config.kafka.partitions, "murmur2").read([r for r in bars if r.partition == number])
        alone, shadowed = (Pipeline(ready, Source(topic, number, __version__), s) for s in ({}, beside))
        signals |= {encode(signal) for signal in alone.feed(batches.batches).signals}
        said |= {encode(one) for one in shadowed.feed(batches.batches).shadows}
    return signals, said


def status(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status") as answer:
            return json.load(answer)
    except OSError:
        return None


@pytest.mark.nightly
def test_shadows_change_no_signal_and_go_on_to_the_byte_after_a_kill(
    broker: Broker, tmp_path: Path, unused_port: int
) -> None:
    file = tmp_path / "shadow.yaml"
    config = write_config(
        file, broker.bootstrap, f"{tmp_path.name}.", strategies(tmp_path), http=True, http_port=unused_port
    )
    asyncio.run(create_topics(config.kafka))
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(worker.ready, 120)
        asyncio.run(produce_bars(config.kafka, BARS.iloc[: COUNT // 2]))
        wait_for(lambda: signals() > COUNT, 120)
        worker.kill()
    asyncio.run(produce_bars(config.kafka, BARS.iloc[COUNT // 2 :]))
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 3 * COUNT, 120)
        shadows = status(unused_port)["shadows"]
        assert worker.stop() == 0
    assert {record.value for record in records(config, "signals")} == at_once(config)[0]
    _check_said(config)
    _check_told(file, shadows)
    assert verify(config, "looking").ok
    _check_command(file, config)


def _check_said(config: Config) -> None:
    found = records(config, "predictions.shadow")
    assert {record.value for record in found} == at_once(config)[1]
    said = [msgspec.json.decode(record.value, type=ShadowPrediction) for record in found]
    assert {record.key for record in found} == {b"rows", b"looking"}
    assert all(one.model and one.model.sha256 != one.shadow_model.sha256 for one in said)
    places = {(record.value, record.partition) for record in records(config, "bars")}
    for record, one in zip(found, said, strict=True):
        (partition,) = {number for value, number in places if f'"{one.symbol}"'.encode() in value}
        assert record.partition == partition


def _check_told(file: Path, shadows: dict[str, Any]) -> None:
    log = file.with_suffix(".log").read_text()
    assert log.count("damaged runs without its shadow: ") == 2
    assert "looking and its shadow " in log
    assert "its SHA-256 differs" in shadows["damaged"]["fault"]
    assert shadows["rows"]["rows"] > 0
    assert shadows["rows"]["failures"] == 0


def _check_command(file: Path, config: Config) -> None:
    done = CliRunner().invoke(cli, ["models", "compare", "rows", "-c", str(file), "--json"])
    assert done.exit_code == 0, done.output
    (pair,) = json.loads(done.stdout)["pairs"]
    assert pair["bars"] == COUNT
    assert 0 < pair["known"] < pair["both"] < COUNT
    assert -1 <= pair["ic_shadow"]["value"] <= 1
    shown = CliRunner().invoke(cli, ["models", "compare", "looking", "-c", str(file)])
    assert shown.exit_code == 0, shown.output
    assert "(dl.lstm)" in shown.output
    nothing = CliRunner().invoke(cli, ["models", "compare", "damaged", "-c", str(file)])
    assert "holds nothing of damaged" in str(nothing.exception)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
