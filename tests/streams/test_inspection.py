"""States on the log: shown, and taken off it while nobody runs."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backtest.verify.verify import verify
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from tests.support import forked
from tests.support.live import (
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return forked.run("state", *words)


def shown(file: Path) -> list[dict[str, Any]]:
    run = command("show", "-c", str(file), "--json")
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def test_states_are_shown_and_rebuilt(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "state.yaml"
    strategies = {"one": strategy(), "two": strategy(features=["technical.rsi"])}
    config = write_config(file, broker.bootstrap, f"inspect-{broker.kind}.", strategies)
    bars = minute_bars(400)
    topics_and_bars(config, bars.iloc[:300])
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 600)
        wait_for(lambda: sum(b'"kind":"roster"' in (r.value or b"") for r in records(config, "state")) >= 2)
        if broker.kind == "kafka":
            refused = command("rebuild", "one", "-c", str(file))
            assert refused.returncode == 2
            assert f"1 of the group {config.kafka.group} are running" in refused.stderr
        assert worker.stop() == 0
    before = shown(file)
    assert sum(state["marked"] for state in before) == 300
    assert all(state["rebuilt"] == {} for state in before)
    assert sum(state["owners"]["one"]["bars"] for state in before) <= 300

    done = command("rebuild", "one", "-c", str(file))
    assert done.returncode == 0, done.stderr
    after = shown(file)
    assert all("one" not in state["owners"] and "two" in state["owners"] for state in after)
    assert all(list(state["rebuilt"]) == ["one"] for state in after)

    asyncio.run(produce_bars(config.kafka, bars.iloc[300:]))
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 800)
        assert worker.stop() == 0
    assert "one joined the others" in file.with_suffix(".log").read_text()
    for name in strategies:
        assert verify(config, name).ok


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rebuild", "three"), "there is no strategy 'three'"),
        (("rebuild", "demo", "--partition", "9"), "there is no partition 9; none.bars has 0 to 1"),
    ],
)
def test_mistakes_are_one_line(tansu: Broker, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = tmp_path / "none.yaml"
    topics_and_bars(write_config(file, tansu.bootstrap, "none."), minute_bars(1))
    run = command(*words, "-c", str(file))
    assert said in run.stderr
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
