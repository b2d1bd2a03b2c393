"""Workers killed for real: the set of signals is that of a run that nobody disturbed."""

import asyncio
from pathlib import Path

import pandas as pd
import pytest

from backtest.verify.verify import verify
from schemas.configuration import Config
from streams.kafka.brokers import Broker, TansuBroker
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

FURTHER = {
    "demo": strategy(
        features=[
            {"technical.rsi": {"period": 3, "lags": [1, 2], "diff": [1]}},
            {"technical.atr": {"period": 3, "interval": "15m", "as": "quarters", "partial": True}},
            {"ta.ADX": {"timeperiod": 3}},
            {"ta.SMA": {"timeperiod": 5}},
            {"time.of_day": {"zone": "America/New_York"}},
        ],
        expr={"all": "rsi.lag2 - rsi.diff1 - adx / 2 + quarters + sma / 10 + where(of_day > 720, 3, 0)"},
        prediction="all",
    )
}
"""A strategy on columns that are made of bars and columns: lags, longer bars, TA-Lib's, the calendar, an expression."""


def undisturbed(folder: Path, broker: Broker, bars: pd.DataFrame) -> list[bytes]:
    """The oracle: one worker, all bars, nobody in the way."""
    file = folder / "calm.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}-calm.", FURTHER)
    topics_and_bars(config, bars)
    run_to_end(file, config, len(bars))
    return digest(config)


def disturbed(folder: Path, broker: Broker, bars: pd.DataFrame, kills: int, rate: float) -> Config:
    file = folder / "killed.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}-killed.", FURTHER)
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, bars, rate)
    producer.start()
    random_kills(file, kills, seed=1, longest=1.5)
    producer.join()
    run_to_end(file, config, len(bars))
    return config


def check(folder: Path, broker: Broker, bars: pd.DataFrame, kills: int, rate: float) -> None:
    calm = undisturbed(folder, broker, bars)
    config = disturbed(folder, broker, bars, kills, rate)
    assert len(calm) == len(bars)
    assert digest(config) == calm
    verdict = verify(config, "demo")
    assert verdict.ok, verdict.differences[:3]
    assert verdict.unpublished == 0


def test_three_kills_change_nothing(tmp_path: Path, tansu: TansuBroker) -> None:
    check(tmp_path, tansu, minute_bars(3_000), kills=3, rate=400.0)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path, broker: Broker) -> None:
    check(tmp_path, broker, minute_bars(), kills=20, rate=150.0)


@pytest.mark.slow
def test_two_workers_share_the_partitions_and_one_dies(tmp_path: Path, tansu: TansuBroker) -> None:
    bars = minute_bars(3_000)
    file = tmp_path / "shared.yaml"
    config = write_config(file, tansu.bootstrap, f"{tmp_path.name}-shared.")
    asyncio.run(create_topics(config.kafka))
    producer = Producer(config, bars, 300.0)
    producer.start()
    signals = SignalCount(config)
    with WorkerProcess(file), WorkerProcess(file) as second:
        wait_for(lambda: signals() > 500)
        second.kill()
        producer.join()
        wait_for(lambda: signals() == len(bars))
    assert verify(config, "demo").ok
