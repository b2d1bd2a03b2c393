"""A plugin that was edited under its version is another plugin: told, and in force as one of a new version would be."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backtest.replay.walk import _goes_on
from backtest.verify.verify import verify
from plugins.base.loading.discovery import discover
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Applied, Signal
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from streams.recovery import resume_planner
from streams.recovery.state import StoredState
from tests.streams.test_state import END, Owner, from_offset, going_on, planned
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, strategy, wait_for, write_config
from tests.support.memory import ready
from tests.support.registries import untouched_registries

PLUGIN = '''
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("mydesk.mean")
class Mean(BaseFeature):
    """Mean of two closes."""

    lookback = 2
    outputs = ("mean",)

    def compute(self, data):
        return data[["close"]].rolling(2).mean().set_axis(["mean"], axis=1) * 1.0
'''
SIGNAL = '''
import numpy as np
from plugins.base import BaseSignalGenerator, Decisions
from plugins.signals import signal_registry

@signal_registry.register("mydesk.always")
class Always(BaseSignalGenerator):
    """Buys."""

    def generate(self, predictions):
        return predictions.assign(signal="BUY")

    def decide(self, columns):
        count = len(columns["prediction"])
        return Decisions(["BUY"] * count, np.full(count, np.nan), [""] * count)
'''
FLIPPED = PLUGIN.replace("* 1.0", "* -1.0")
Make = Callable[..., ReadyStrategy]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """The strategy by plugins of this text, as another process would make it."""

    def make(feature: str = PLUGIN, signal: str = SIGNAL, **changes: Any) -> ReadyStrategy:
        for name, text in (("feature", feature), ("signal", signal)):
            (tmp_path / f"{name}.py").write_text(text)
        with untouched_registries():
            discover([tmp_path / "feature.py", tmp_path / "signal.py"])
            settings: dict[str, Any] = {"features": ["mydesk.mean", "technical.rsi"], "prediction": "mean"}
            one = ready("one", **(settings | {"signal": "mydesk.always"} | changes))
        return one

    return make


def stored_at_200(*strategies: ReadyStrategy) -> StoredState:
    stored = StoredState()
    Owner(stored, *strategies).work(150).round().work(200)
    return stored


def test_the_state_begins_anew_with_the_edited_code(made: Make) -> None:
    before, after = made(), made(FLIPPED)
    assert before.layout == after.layout
    stored = stored_at_200(before)
    found = planned(stored, after)
    [entry] = found.new
    assert (entry.offset, entry.origin.offset, entry.config_hash) == (200, 0, after.config_hash)
    assert found.why_rebuilt == "one: it was changed, so its state begins anew"
    assert going_on(stored, after) == from_offset(200, after)


def test_so_it_does_when_its_owner_died_before_the_next_round(made: Make) -> None:
    """The snapshots on the log are the old code's, under `applied` of the new."""
    after, still = made(FLIPPED), ready("still")
    stored = stored_at_200(made(), still)
    Owner(stored, after, still).work(250)
    found = planned(stored, after, still)
    assert (found.new, found.position) == ([], 150)
    assert found.behind == {"one": "it was changed after the last round of snapshots"}
    assert going_on(stored, after, still) == from_offset(250, after, still)


def test_to_and_fro(made: Make) -> None:
    before, after = made(), made(FLIPPED)
    stored = stored_at_200(before)
    Owner(stored, after).work(250).round().work(260)
    assert going_on(stored, before) == from_offset(260, before)


def test_an_edit_that_does_nothing_is_none(made: Make) -> None:
    stored = stored_at_200(made())
    after = made(PLUGIN.replace("Mean of two closes.", "The mean of two closes."))
    found = planned(stored, after)
    assert (found.new, found.position, found.why_rebuilt) == ([], 150, None)


def test_an_edited_signal_decides_otherwise_on_the_same_states(made: Make) -> None:
    after = made(signal=SIGNAL.replace('["BUY"]', '["SELL"]'))
    stored = stored_at_200(made())
    found = planned(stored, after)
    assert [entry.offset for entry in found.new] == [200]
    assert (found.position, found.why_rebuilt) == (150, None)
    assert going_on(stored, after) == from_offset(200, after)


def test_a_log_of_before_is_gone_on_with(made: Make) -> None:
    """What ran there hashed no source: it is taken for the same code, and the next `applied` has the hashes."""
    after = made()
    before = after.without_sources
    assert {"source", "fold"}.isdisjoint(before.config["features"][0] | before.config["signal"])
    stored = stored_at_200(before)
    found = planned(stored, after)
    assert (len(found.new), found.position, found.why_rebuilt) == (1, 150, None)
    assert found.new[0].config["features"][0]["source"] == after.features[0].feature.plugin.source_sha256
    assert going_on(stored, after) == from_offset(200, after)
    assert after.as_of(before.config_hash) is not None


def test_it_is_told_at_start(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    before, after = made(), made(FLIPPED)
    stored = stored_at_200(before)
    with caplog.at_level(logging.WARNING):
        resume_planner._log_edited(3, stored, [before])
        resume_planner._log_edited(3, stored, [after])
        resume_planner._log_edited(3, stored_at_200(before.without_sources), [after])
        resume_planner._log_edited(3, stored, [made(FLIPPED.replace("lookback", 'version = "2"\n    lookback'))])
    old, new = (one.config["features"][0]["source"][:12] for one in (before, after))
    assert [record.getMessage() for record in caplog.records] == [
        f"bars/3: one: mydesk.mean version 1 was edited under its version (source {old} before, {new} now);"
        " it takes effect like a new version: raise it, and others see the change, too"
    ]


def test_a_replay_does_not_go_on_under_edited_code(made: Make) -> None:
    """Origin and layout are the same, as the state begins anew where the old one did."""
    stored = stored_at_200(made())
    Owner(stored, made(FLIPPED)).work(END)
    old, new = stored.history["one"]
    assert (old.origin, old.layout) == (new.origin, new.layout)
    assert not _goes_on(old, new)
    assert _goes_on(old, msgspec.structs.replace(new, config=old.config))


def test_live_and_verify(tansu: Broker, tmp_path: Path) -> None:
    """Seen: the state went on under the flipped sign, and afterwards verify failed under the old and the new code."""
    bars, plugin, file = minute_bars(400), tmp_path / "mine.py", tmp_path / "edited.yaml"
    given = strategy(features=["mydesk.mean", "technical.rsi"])
    config = write_config(file, tansu.bootstrap, "edited.", {"demo": given | {"prediction": "mean"}})
    asyncio.run(create_topics(config.kafka))
    signals = SignalCount(config)
    for text, part, count in ((PLUGIN, bars.iloc[:200], 200), (FLIPPED, bars.iloc[200:], 400)):
        plugin.write_text(text)
        asyncio.run(produce_bars(config.kafka, part))
        with WorkerProcess(file, "--plugins", str(plugin)) as worker:
            wait_for(lambda: signals() >= count or worker.process.poll() is not None)  # noqa: B023
            assert worker.stop() == 0
    said = file.with_suffix(".log").read_text()
    assert "demo: mydesk.mean version 1 was edited under its version" in said
    published = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    applied = [msgspec.json.decode(record.value, type=Applied) for record in records(config, "control")]
    for signal in published:
        own = [entry for entry in applied if entry.partition == signal.provenance.partition]
        force = [entry for entry in own if entry.offset <= signal.provenance.offset][-1]
        assert signal.content.config_hash == force.config_hash
        if signal.content.prediction is not None:
            assert (signal.content.prediction < 0) == (force.offset > own[0].offset)
    with untouched_registries():
        discover([plugin])
        verdict = verify(config, "demo")
    assert verdict.differences == []
    assert verdict.equal == 200
