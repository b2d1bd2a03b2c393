"""Strategies with references in real workers on a real broker, both killed: that of the reference's partition too."""

import asyncio
from pathlib import Path

import pandas as pd
import pytest

from backtest.explain.explain import explain_many
from backtest.replay.replay import replay
from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.wire import encode
from schemas.wire.side_inputs import ReferenceBar, decode_side_input
from streams.archive.writer import archive
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.log import KafkaLog
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics
from tests.support.live import (
    MINUTES,
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    run_to_end,
    strategy,
    wait_for,
    write_config,
)

PATIENCE = 240.0
BESIDE = strategy(
    features=[
        "technical.rsi",
        {"relative.return": {"window": 5, "with": "SPY"}},
        {"relative.beta": {"window": 20, "with": "SPY", "stale": "last", "lags": [1]}},
    ],
    prediction="relative_return",
    signal={"key": "signal.threshold", "buy_threshold": 0.0005, "sell_threshold": -0.0005},
)
STRATEGIES = {"plain": strategy(), "beside": BESIDE}


def of_whole_minutes(bars: pd.DataFrame) -> pd.DataFrame:
    """Without the last minute, of which some bars may be missing."""
    return bars[bars["close_time"] < bars["close_time"].max()]


def two_workers_killed(folder: Path, broker: Broker, bars: pd.DataFrame, kills: int) -> Config:
    """Two workers share the partitions; now one, now the other is SIGKILLed and comes back."""
    count, file = len(of_whole_minutes(bars.iloc[: len(bars) // 2])), folder / "beside.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}.", STRATEGIES, reference_grace=2.0)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, bars.iloc[:count]))
    signals, workers = SignalCount(config), [WorkerProcess(file, log=folder / f"{n}.log") for n in range(2)]
    try:
        for number in range(kills):
            wanted = (number + 1) * count // (kills + 1)
            wait_for(lambda n=wanted: signals() >= n, PATIENCE)
            workers[number % 2].kill()
            workers[number % 2] = WorkerProcess(file, log=folder / f"{number % 2}.log")
    finally:
        for worker in workers:
            worker.kill()
    asyncio.run(produce_bars(config.kafka, bars.iloc[count:]))
    run_to_end(file, config, 2 * len(bars), seconds=PATIENCE)
    return config


def check(folder: Path, broker: Broker, count: int, kills: int) -> None:
    bars = of_whole_minutes(minute_bars(count))
    config, count = two_workers_killed(folder, broker, bars, kills), len(bars)
    assert len({partition_of(symbol.encode(), 2, "murmur2") for symbol in set(bars["symbol"])}) == 2
    for name in STRATEGIES:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (count, 0)
    said = [decode_side_input(record.value) for record in records(config, "side.inputs")]
    copies = {(one.reference, one.close_time) for one in said if isinstance(one, ReferenceBar)}
    assert {symbol for symbol, _ in copies} == {"SPY"}
    from_topic = replay(config, "beside", "kafka").raw
    topics = ("bars", "signals", "state", "control", "side.inputs")
    asyncio.run(archive(KafkaLog(config.kafka), folder / "archive", topics))
    assert verify(config, "beside", source=str(folder / "archive")).ok
    contents = {signal.content.id: encode(signal.content) for signal in from_topic}
    of_file = replay(config, "beside", str(MINUTES)).raw
    assert len(contents) == count
    assert {s.content.id: encode(s.content) for s in of_file if s.content.id in contents} == contents
    known = next(signal for signal in from_topic if signal.content.prediction is not None)
    (explained,) = explain_many(config, [known.content.id])
    assert explained.reproduced
    assert explained.columns["relative_return"] == known.content.prediction


def test_kills_of_both_workers_change_nothing(tmp_path: Path, tansu: Broker) -> None:
    check(tmp_path, tansu, 600, kills=2)


@pytest.mark.nightly
def test_more_kills_on_both_brokers(tmp_path: Path, broker: Broker) -> None:
    check(tmp_path, broker, 900, kills=4)
