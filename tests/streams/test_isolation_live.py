"""A strategy that fails on a bar of a real worker: its pages tell, the other strategy goes on, nothing is lost."""

import asyncio
from pathlib import Path

import pytest

from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.topics import create_topics
from tests.streams.test_exits import FAULTY
from tests.streams.test_health import page
from tests.support.deadlines import deadline
from tests.support.forked import Forked
from tests.support.live import SignalCount, WorkerProcess, minute_bars, strategy, wait_for, write_config

BEFORE, ALL = 60, 160


@pytest.mark.slow
def test_the_other_strategy_goes_on(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    plugin, fail, file = tmp_path / "mine.py", tmp_path / "fail", tmp_path / "isolation.yaml"
    plugin.write_text(FAULTY)
    strategies = {"demo": strategy(), "moody": strategy(features=["technical.rsi", "mine.faulty"])}
    port = free_port()
    config = write_config(file, kafka.bootstrap, "isolation.", strategies, http=True, http_port=port, ready_lag=0)
    asyncio.run(create_topics(config.kafka))
    bars, signals = minute_bars(ALL), SignalCount(config)
    asyncio.run(produce_bars(config.kafka, bars.iloc[:BEFORE]))
    with WorkerProcess(file, "--plugins", str(plugin)) as worker:
        wait_for(lambda: signals() == 2 * BEFORE)
        fail.touch()
        asyncio.run(produce_bars(config.kafka, bars.iloc[BEFORE:]))
        wait_for(lambda: signals() == BEFORE + ALL)
        code, answer = wait_for(
            lambda: (seen := page(config, "/health/ready"))[1] and seen[1]["failed"].keys() == {"strategies"} and seen
        )
        assert code == 503
        assert "moody stopped on bars/0, at offset " in answer["failed"]["strategies"]
        status = page(config, "/status")[1]
        assert status["counts"]["failed"] == 2
        for number in "01":
            told = status["partitions"][number]["failed"]
            assert told.keys() == {"moody"}
            assert told["moody"]["reason"].endswith(" bars: ZeroDivisionError: by zero")
            assert told["moody"]["offset"] < status["partitions"][number]["published"]
        assert worker.stop() == 0
    assert signals() == BEFORE + ALL
    assert file.with_suffix(".log").read_text().count(": moody stopped at offset ") == 2
    fail.unlink()
    with WorkerProcess(file, "--plugins", str(plugin)) as worker:
        wait_for(lambda: signals() == 2 * ALL)
        wait_for(lambda: page(config, "/health/ready")[0] == 200)
        assert worker.stop() == 0
    done = Forked("verify", "moody", "-c", str(file), "--plugins", str(plugin), log=tmp_path / "verify.log")
    assert done.wait(deadline(60)) == 0, (tmp_path / "verify.log").read_text()
