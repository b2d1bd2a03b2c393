"""60m and 1h are one interval and have one hash; what a version before wrote, which hashed the text, goes on as it is.

A log of before is made of what that version wrote: `interval` as it stands in the file, in `applied` and its hash.
"""

from pathlib import Path

import pytest

from backtest.explain.explain import explain_many
from backtest.replay.replay import replay_file
from backtest.replay.signal_files import write_signals
from backtest.replay.stretches import recreated
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.canonical import config_hash
from schemas.configuration import Config
from schemas.wire import Applied, Origin, canonical_interval, spellings
from streams.recovery.state import StoredState
from streams.requests.control_requests import ControlRequests
from streams.requests.switches import PendingSwitches, StrategySwitch
from tests.streams.test_state import Owner, from_offset, going_on, planned
from tests.support.live import MINUTES
from tests.support.memory import FEATURES, ready

LONG = ["1d", "24h", "1440m", "86400s"]


def spelled(interval: str, **changes: object) -> ReadyStrategy:
    """As this version has it."""
    return ready("one", interval=interval, **changes)


def before(interval: str, **changes: object) -> ReadyStrategy:
    """As the version before had it."""
    return spelled(interval, **changes).spelled_as({"interval": interval})


@pytest.mark.parametrize("names", [LONG, ["1m", "60s"], ["90m", "5400s"], ["7s"], ["1h", "60m", "3600s"]])
def test_one_interval_one_hash(names: list[str]) -> None:
    assert spellings(names[-1]) == names
    made = [spelled(name) for name in names]
    assert len({(one.config_hash, one.layout) for one in made}) == 1
    assert made[0].config["interval"] == names[0]
    assert len({before(name).config_hash for name in names}) == len(names)
    assert before(names[0]).config_hash == made[0].config_hash  # the shortest name keeps its hash
    for name in names:
        assert before(name).config_hash == config_hash(made[0].config | {"interval": name})


def stored_at_200(strategy: ReadyStrategy) -> StoredState:
    stored = StoredState()
    Owner(stored, strategy).work(150).round().work(200)
    return stored


@pytest.mark.parametrize("now", ["1m", "60s"])
def test_a_log_of_before_goes_on(now: str) -> None:
    """Whatever the file says now: nothing is applied, no state is folded again."""
    stored = stored_at_200(before("60s"))
    ours = ControlRequests([spelled(now)], {}).at_start("one", stored.applied["one"])
    found = planned(stored, ours)
    assert (found.new, found.position, found.why_rebuilt) == ([], 150, None)
    assert going_on(stored, ours) == from_offset(200, before("60s"))


def test_another_threshold_keeps_the_states_of_before() -> None:
    stored = stored_at_200(before("60s"))
    changed = spelled("1m", signal={"key": "signal.threshold", "buy_threshold": 70.0, "sell_threshold": 30.0})
    ours = ControlRequests([changed], {}).at_start("one", stored.applied["one"])
    found = planned(stored, ours)
    assert ([entry.config_hash for entry in found.new], found.position) == ([ours.config_hash], 150)
    assert found.why_rebuilt is None


def test_another_interval_is_another_configuration() -> None:
    stored = stored_at_200(before("60s"))
    ours = ControlRequests([spelled("2m")], {}).at_start("one", stored.applied["one"])
    assert ours.config_hash == spelled("120s").config_hash


def test_a_switch_keeps_the_spelling() -> None:
    """States go on under a requested model: their layout is that of the partition."""
    entry = stored_at_200(before("60s")).applied["one"]
    waiting = PendingSwitches({})
    waiting.add(StrategySwitch("one", None, ready=spelled("1m", execution={"weight": 0.5})), entry)
    (switch,) = waiting._waiting.values()
    assert switch.ready is not None
    assert (switch.ready.layout, switch.applied(entry, 7).layout) == (entry.layout, entry.layout)


@pytest.mark.parametrize("interval", ["60s", "1m"])
@pytest.mark.parametrize("sources", [True, False])
def test_replay_makes_what_ran_before(interval: str, sources: bool) -> None:
    then = before(interval) if sources else before(interval).without_sources
    entry = Applied("one", "bars", 0, 0, Origin(0, 0), 0, then.config_hash, then.config, layout=then.layout)
    again = recreated(entry, Config(strategies={"one": config("1m")["one"]}))
    assert again is not None
    assert (again.config_hash, again.layout) == (then.config_hash, then.layout)
    known = spelled("1m").as_of(then.config_hash)
    assert known is not None
    assert known.config == then.config
    assert spelled("2m").as_of(then.config_hash) is None


def config(interval: str) -> dict[str, dict[str, object]]:
    signal = {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0}
    return {"one": {"interval": interval, "features": FEATURES, "prediction": "rsi", "signal": signal}}


def test_a_file_of_before_is_explained(tmp_path: Path) -> None:
    settings = Config(strategies=config("1m"))
    here = ready_strategy("one", settings.strategy("one"))
    then = here.spelled_as({"interval": "60s"})
    assert canonical_interval("60s") == "1m"
    result = replay_file(then, str(MINUTES))
    write_signals(result.raw[:50], tmp_path / "s.jsonl")
    wanted = result.raw[40].content.id
    (told,) = explain_many(settings, [wanted], tmp_path / "s.jsonl", str(MINUTES))
    assert (told.reproduced, told.config_hash) == (True, then.config_hash)
