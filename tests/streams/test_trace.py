"""Where the time of a bar goes: each bar once, at each stage, in their order; and the signals are what they are."""

import json
from pathlib import Path
from typing import Any

from streams.kafka.brokers import ApacheKafkaBroker
from streams.process import trace
from streams.process.trace import STAGES, Trace
from tests.support.live import digest, minute_bars, run_to_end, topics_and_bars, write_config

COUNT = 1_000


def noted(*notes: tuple[str, int, float], fetches: list[tuple[int, int]]) -> list[tuple[int, int, dict[str, float]]]:
    """The runs of a partition whose fetches come at time 0, and each note (stage, offset) at its own time."""
    now = [0.0]
    traced = Trace(clock=lambda: now[0])
    for start, end in fetches:
        traced.fetched("bars/0", start, end)
    for stage, end, at in notes:
        now[0] = at
        traced.note(stage, "bars/0", end)
    return [(run.start, run.end, run.times) for run in traced.runs]


def test_a_commit_in_the_middle_of_a_fetch_leaves_the_rest() -> None:
    found = noted(
        ("fed", 8, 1.0), ("committed", 5, 2.0), ("committed", 8, 3.0), fetches=[(0, 8)]
    )  # fmt: skip
    assert found == [
        (0, 5, {"fetched": 0.0, "fed": 1.0, "committed": 2.0}),
        (5, 8, {"fetched": 0.0, "fed": 1.0, "committed": 3.0}),
    ]


def test_what_is_fetched_once_more_begins_anew() -> None:
    """After a rebalance, say: what was noted of the first time is nothing that these bars met."""
    now = [0.0]
    traced = Trace(clock=lambda: now[0])
    traced.fetched("bars/0", 0, 8)
    traced.note("fed", "bars/0", 8)
    now[0] = 5.0
    traced.fetched("bars/0", 4, 8)
    traced.note("committed", "bars/0", 8)
    assert [(run.start, run.end, run.times) for run in traced.runs] == [(4, 8, {"fetched": 5.0, "committed": 5.0})]


def test_nothing_is_noted_without_the_option() -> None:
    trace.note_fetched("bars/0", 0, 8)
    trace.note("committed", "bars/0", 8)
    assert trace._trace is None


def test_each_bar_of_a_worker_is_traced_once(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    bars = minute_bars(COUNT)
    signals: dict[str, list[bytes]] = {}
    for name, options in {"plain": (), "traced": ("--trace", str(tmp_path / "times"))}.items():
        file = tmp_path / f"{name}.yaml"
        config = write_config(file, kafka.bootstrap, f"{tmp_path.name}-{name}.")
        topics_and_bars(config, bars)
        run_to_end(file, config, COUNT, *options)
        signals[name] = digest(config)
    assert signals["traced"] == signals["plain"]
    runs: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / "times").read_text().splitlines()]
    offsets = [(run["place"], offset) for run in runs for offset in range(run["start"], run["end"])]
    assert len(offsets) == len(set(offsets)) == COUNT
    for run in runs:
        assert list(run["times"]) == list(STAGES)
        assert list(run["times"].values()) == sorted(run["times"].values())
    log = (tmp_path / "traced.log").read_text()
    assert f"{COUNT} bars, ms from the stage before" in log
