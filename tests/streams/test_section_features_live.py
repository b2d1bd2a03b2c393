"""Features of the cross-section live on both brokers: two workers, of which each is killed once, so that every
symbol's worker and the owner of the cross-sections were; then all is verified and explained, from the topics, an
archive and a file.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

import alphawire as aw
from backtest.explain.explain import explain_many
from backtest.replay.replay import replay, replay_frame
from backtest.verify.verify import verify
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.wire import Signal, encode
from streams.archive.writer import DEFAULT, archive
from streams.kafka.brokers import Broker
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics
from tests.streams.test_cross_sections_live import closings, in_time
from tests.support.live import Producer, SignalCount, WorkerProcess, records, strategy, wait_for, write_config

EVERY = in_time(3_000)
SYMBOLS = sorted(EVERY["symbol"].unique())
BARS = EVERY[EVERY.groupby("close_time")["symbol"].transform("size") == len(SYMBOLS)].iloc[: 60 * len(SYMBOLS)]
FEATURES: list[Any] = [
    "technical.rsi",
    {"section.rank": {"column": "rsi"}},
    {"statistical.momentum": {"window": 5}},
    {"section.zscore": {"column": "momentum", "as": "z"}},
]


def strategies(folder: Path) -> dict[str, Any]:
    """One that ranks what a model predicts, and one that decides on each symbol alone."""
    both = {"both": "where(rsi.rank > 0.5, z, -z)"}
    plain = strategy(features=FEATURES, expr=both, universe=SYMBOLS, cross_section={"grace": 30.0})
    model = {"key": "ml.lightgbm", "artifact": str(folder / "model"), "params": {"n_estimators": 10}}
    predicts = {name: value for name, value in plain.items() if name != "prediction"} | {"model": model}
    rank = {"signal.ranking": {"top_n": 1, "bottom_n": 1}}
    threshold = {"signal.threshold": {"buy_threshold": 0.5, "sell_threshold": -0.5}}
    return {
        "predicted": predicts | {"signal": rank, "training": {"horizon_bars": 2}},
        "alone": plain | {"prediction": "z", "signal": threshold},
    }


def test_kills_of_each_worker_change_nothing(tmp_path: Path, broker: Broker) -> None:
    file, wanted = tmp_path / "sections.yaml", 2 * len(BARS)
    write_config(file, broker.bootstrap, f"{tmp_path.name}.", strategies(tmp_path))
    loaded = aw.load(file)
    loaded["predicted"].train(EVERY.drop(columns=["interval"], errors="ignore"))
    config = loaded.config
    asyncio.run(create_topics(config.kafka))
    producer, signals = Producer(config, BARS, 40.0), SignalCount(config)
    with WorkerProcess(file, log=tmp_path / "1.log") as first, WorkerProcess(file, log=tmp_path / "2.log") as second:
        wait_for(lambda: first.ready() and second.ready())
        producer.start()
        wait_for(lambda: signals() > wanted // 10)
        first.kill()
        wait_for(lambda: signals() > wanted // 3)
        with WorkerProcess(file, log=tmp_path / "3.log") as third:
            wait_for(third.ready)
            second.kill()
            producer.join()
            wait_for(lambda: signals() >= wanted)
            assert third.stop() == 0
    check(config, tmp_path)


def check(config: Config, folder: Path) -> None:
    asyncio.run(archive(KafkaLog(config.kafka), folder / "history", (*DEFAULT, "predictions")))
    found = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    assert all(not closing.missing and closing.predicts is True for closing in closings(config))
    for name in ("predicted", "alone"):
        live = {signal.content.id: signal for signal in found if signal.content.strategy == name}
        assert len(live) == len(BARS)
        for source in ("kafka", str(folder / "history")):
            verdict = verify(config, name, source=source)
            assert verdict.ok, verdict.differences[:3] or verdict.not_reproducible
            assert (verdict.equal, verdict.unpublished, verdict.open) == (len(BARS), 0, 0)
            again = replay(config, name, source).raw
            assert {s.content.id: encode(s.content) for s in again} == {i: encode(s.content) for i, s in live.items()}
        from_file = replay_frame(ready_strategy(name, config.strategy(name)), BARS.reset_index(drop=True)).raw
        assert {s.content.id: encode(s.content) for s in from_file} == {i: encode(s.content) for i, s in live.items()}
        predicted = [signal for signal in live.values() if signal.content.prediction is not None]
        assert len({signal.content.prediction for signal in predicted}) > 10
        for source in ("kafka", str(folder / "history")):
            (one,) = explain_many(config, [predicted[-7].content.id], source=source)
            assert one.reproduced, one.difference
            assert list(one.columns) == ["rsi", "momentum", "rsi.rank", "z", "both"]
            assert None not in one.columns.values()
