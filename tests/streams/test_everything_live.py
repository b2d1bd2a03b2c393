"""One strategy with all that a feature can be: longer bars, a reference, lags, TA-Lib's, an expression, the calendar.
It trains, is checked, runs live through SIGKILLs of both workers, and verifies from the topic, an archive and a file.
"""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.explain.explain import explain_many
from backtest.replay.replay import replay
from backtest.training import train
from backtest.verify.verify import verify
from schemas.configuration import Config, load_config
from schemas.wire import encode
from streams.archive.writer import archive
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker, TansuBroker
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics
from tests.streams.test_references_live import of_whole_minutes
from tests.support.live import MINUTES, SignalCount, WorkerProcess, minute_bars, run_to_end, wait_for, write_config

PATIENCE = 240.0
FEATURES = [
    {"technical.rsi": {"period": 5, "lags": [1, 2]}},
    {"technical.rsi": {"period": 3, "interval": "5m", "as": "slow_rsi"}},
    {"relative.return": {"window": 5, "with": "SPY"}},
    {"relative.beta": {"window": 20, "with": "SPY", "stale": "last"}},
    {"ta.ADX": {"timeperiod": 5}},
    {"ta.BBANDS": {"timeperiod": 5}},
    {"ta.CDLENGULFING": {}},
    {"time.minutes_to_close": {"session": "XNYS", "as": "clock"}},
]
STRATEGY = {
    "interval": "1m",
    "features": FEATURES,
    "expr": {"turn": "rsi / max(rsi.lag1, 1) - slow_rsi / 50"},
    "model": {"key": "ml.lightgbm", "params": {"n_estimators": 20, "min_child_samples": 20}},
    "training": {"horizon_bars": 3},
    "signal": {"key": "signal.threshold", "buy_threshold": 0.0, "sell_threshold": 0.0},
    "start": "earliest",
}


def trained(folder: Path, broker: Broker, count: int) -> tuple[Path, Config]:
    """The configuration, with the model that it names trained on real minutes."""
    model = dict(STRATEGY["model"], artifact=str(folder / "model"))  # type: ignore[call-overload]
    file = folder / "everything.yaml"
    strategies = {"everything": STRATEGY | {"model": model}}
    config = write_config(file, broker.bootstrap, f"{folder.name}.", strategies, reference_grace=2.0)
    train("everything", config, of_whole_minutes(minute_bars(count)))
    return file, load_config(file)


def through_kills(file: Path, config: Config, count: int, kills: int) -> int:
    """Two workers share the partitions; now one, now the other is SIGKILLed and comes back. Returns the bars sent."""
    bars = of_whole_minutes(minute_bars(count))
    half = len(of_whole_minutes(bars.iloc[: len(bars) // 2]))
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, bars.iloc[:half]))
    signals, workers = SignalCount(config), [WorkerProcess(file, log=file.with_suffix(f".{n}.log")) for n in range(2)]
    try:
        for number in range(kills):
            wanted = (number + 1) * half // (kills + 1)
            wait_for(lambda n=wanted: signals() >= n, PATIENCE)
            workers[number % 2].kill()
            workers[number % 2] = WorkerProcess(file, log=file.with_suffix(f".{number % 2}.log"))
    finally:
        for worker in workers:
            worker.kill()
    asyncio.run(produce_bars(config.kafka, bars.iloc[half:]))
    run_to_end(file, config, len(bars), seconds=PATIENCE)
    return len(bars)


def check(folder: Path, broker: Broker, bars: int, kills: int) -> None:
    file, config = trained(folder, broker, 4_000)
    done = CliRunner().invoke(cli, ["check", "ta.ADX", "-c", str(file)])
    assert done.exit_code == 0, done.output
    count = through_kills(file, config, bars, kills)
    verdict = verify(config, "everything")
    assert verdict.ok, verdict.differences[:3]
    assert (verdict.equal, verdict.unpublished) == (count, 0)
    topics = ("bars", "signals", "state", "control", "side.inputs")
    asyncio.run(archive(KafkaLog(config.kafka), folder / "archive", topics))
    assert verify(config, "everything", source=str(folder / "archive")).ok
    from_topic = {signal.content.id: encode(signal.content) for signal in replay(config, "everything", "kafka").raw}
    assert len(from_topic) == count
    of_file = {signal.content.id: encode(signal.content) for signal in replay(config, "everything", str(MINUTES)).raw}
    assert {name: of_file[name] for name in from_topic} == from_topic
    predicted = [one for one in replay(config, "everything", "kafka").raw if one.content.prediction is not None]
    assert len(predicted) > count // 2
    (explained,) = explain_many(config, [predicted[-1].content.id])
    assert explained.reproduced
    assert {"rsi.lag2", "slow_rsi", "adx", "turn", "clock"} <= explained.columns.keys()


def test_everything_goes_through_kills(tmp_path: Path, tansu: TansuBroker) -> None:
    check(tmp_path, tansu, 1_200, kills=2)


@pytest.mark.nightly
def test_everything_goes_through_more_kills(tmp_path: Path, broker: Broker) -> None:
    check(tmp_path, broker, 3_000, kills=6)
