"""A ranking strategy live on both brokers: its signals survive kills, and `verify` finds those that the log demands."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from backtest.verify import cross_sections
from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.wire import Signal
from schemas.wire.cross_sections import Closing, decode_prediction_record
from streams.kafka.brokers import Broker
from streams.kafka.brokers.probe import free_port
from streams.kafka.topics import create_topics
from tests.streams.test_health import page
from tests.support.live import (
    Producer,
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    strategy,
    wait_for,
    write_config,
)


def in_time(count: int) -> pd.DataFrame:
    """Bars as they come: all symbols of a minute, then those of the next one."""
    return minute_bars().sort_values(["close_time", "symbol"], kind="stable").iloc[:count]


def ranking(symbols: list[str], **changes: Any) -> dict[str, Any]:
    signal = {"key": "signal.ranking", "top_n": 1, "bottom_n": 1}
    return strategy(signal=signal, universe=symbols, cross_section={"grace": 1.0}, **changes)


def closings(config: Config) -> list[Closing]:
    found = [decode_prediction_record(record.value) for record in records(config, "predictions")]
    return [value for value in found if isinstance(value, Closing)]


def test_cross_sections_survive_a_kill_and_verify(tmp_path: Path, broker: Broker) -> None:
    bars = in_time(900)
    symbols = sorted(bars["symbol"].unique())
    file = tmp_path / "ranked.yaml"
    config = write_config(
        file, broker.bootstrap, f"{tmp_path.name}.", {"ranked": ranking(symbols)}, http=True, http_port=free_port()
    )
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, bars, 60.0)
    producer.start()
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(worker.ready, 300)
        wait_for(lambda: signals() > 200, 300)
        worker.kill()
    with WorkerProcess(file) as worker:
        producer.join()
        wait_for(worker.ready, 300)
        wait_for(lambda: signals() >= len(bars), 300)
        wait_for(lambda: page(config, "/health/ready")[0] == 200, 60)
        gathered = page(config, "/status")[1]["predictions"]["partitions"]
        assert {part["lag"] for part in gathered.values()} == {0}
        assert worker.stop() == 0
    found = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    wanted = set(zip(bars["symbol"], bars["close_time"], strict=True))
    assert {(s.content.symbol, s.content.time) for s in found} == wanted
    times = [closing.time for closing in closings(config)]
    assert set(times) == set(bars["close_time"])
    verdict = verify(config, "ranked")
    assert verdict.ok, verdict.differences[:3] or verdict.not_reproducible
    assert (verdict.unpublished, verdict.equal) == (0, len(bars))
    assert looked_at(config) == ["marker"] * 2 + ["predictions"]


def looked_at(config: Config) -> list[str]:
    """What `verify` reads, in order: a marker that is read after the predictions would demand newer ones of a worker
    that goes on meanwhile (seen: 900 missing predictions).
    """
    order: list[str] = []

    def noted(what: str, original: Any) -> Any:
        async def read(*arguments: Any) -> Any:
            order.append(what)
            return await original(*arguments)

        return read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_sections, "load", noted("marker", cross_sections.load))
        patch.setattr(cross_sections, "logged", noted("predictions", cross_sections.logged))
        assert verify(config, "ranked").ok
    return order


@pytest.mark.nightly
def test_two_workers_gather_what_each_predicts(tmp_path: Path, broker: Broker) -> None:
    bars = in_time(600)
    file = tmp_path / "shared.yaml"
    strategies = {name: ranking(sorted(bars["symbol"].unique())) for name in ("ranked", "second", "third")}
    config = write_config(file, broker.bootstrap, f"{tmp_path.name}.", strategies)
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, bars, 60.0)
    producer.start()
    signals = SignalCount(config)
    with WorkerProcess(file), WorkerProcess(file, log=tmp_path / "second.log") as second:
        wait_for(lambda: signals() > 300, 300)
        second.kill()
        producer.join()
        wait_for(lambda: signals() == 3 * len(bars), 300)
    for name in strategies:
        assert verify(config, name).ok
