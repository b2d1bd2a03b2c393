"""``publish: changes``: a signal when decision or weight change, and at every heartbeat, whatever else happens.

The oracle is a plain loop over the signals of the same strategy that publishes all.
"""

import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from schemas.wire import Signal, encode
from streams.consuming.intake import Intake
from tests.support.memory import MINUTE, Fetched, bar, fetched, messy_bars, ready

COUNT, HEARTBEAT = 400, 4
SYMBOLS = ["A", "B", "C"]
BARS = fetched(messy_bars(random.Random(12), SYMBOLS, COUNT))


def strategy(**changes: Any) -> ReadyStrategy:
    return ready("one", **{"publish": "changes", "heartbeat": f"{HEARTBEAT}m"} | changes)


def pipeline(of: ReadyStrategy, **settings: int) -> Pipeline:
    return Pipeline([of], Source("bars", 0, "v"), {of.name: RunSettings(**settings)})


def fed(target: Pipeline, records: Sequence[Fetched]) -> list[Signal]:
    return target.feed(Intake(0, 1, "murmur2").read(records).batches).signals


def told(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """Each as JSON has it, without what names the configuration."""
    found = [msgspec.json.decode(encode(signal)) for signal in signals]
    for one in found:
        del one["content"]["config_hash"]
    return found


def by_hand(signals: Sequence[Signal], anew_at: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Those of `signals`, one for each bar, that are to be published. At the offsets `anew_at` something else comes
    into force.
    """
    kept, last = [], dict[str, tuple[Any, ...]]()
    for one in told(signals):
        content, eras = one["content"], sum(one["provenance"]["offset"] >= at for at in anew_at)
        says = content["signal"], content["weight"], eras
        *before, time = last.get(content["symbol"], (None, 0))
        if tuple(before) != says or content["time"] - time >= HEARTBEAT * MINUTE:
            last[content["symbol"]] = (*says, content["time"])
            kept.append(one | {"content": content | {"silent_until": content["time"] + HEARTBEAT * MINUTE}})
    return kept


@cache
def all_signals() -> list[Signal]:
    return fed(pipeline(ready("one")), BARS)


@pytest.mark.parametrize("size", [1, 7, 64, COUNT])
def test_what_changes_and_a_heartbeat_are_published(size: int) -> None:
    target = pipeline(strategy())
    published = [signal for first in range(0, COUNT, size) for signal in fed(target, BARS[first : first + size])]
    assert told(published) == by_hand(all_signals())
    assert len(published) < len(all_signals())


def test_what_is_written_is_the_struct_to_the_byte() -> None:
    signals = pipeline(strategy()).feed(Intake(0, 1, "murmur2").read(BARS).batches).signals
    written = [
        rendered.data[start:end].tobytes()
        for rendered in (part.rendered() for part in signals.columns)
        for start, end in pairwise([0, *rendered.ends.tolist()])
    ]
    assert written == [encode(signal) for signal in signals]
    assert all(b'"silent_until":' in value for value in written)


def test_a_weight_of_the_generator_that_changes_is_published() -> None:
    """Numbers are signals too."""
    scaled = {"key": "signal.long_short"}
    every = fed(pipeline(ready("one", signal=scaled)), BARS)
    assert told(fed(pipeline(strategy(signal=scaled)), BARS)) == by_hand(every)


@pytest.mark.parametrize("cut", range(0, COUNT, 17))
def test_restored_it_knows_what_was_said_last(cut: int) -> None:
    """From a snapshot that is older than what is published, too."""
    first = pipeline(strategy())
    fed(first, BARS[:cut])
    snapshots = list(first.capture(cut).snapshots())
    marked = min(cut + 9, COUNT)
    before = fed(first, BARS[cut:marked])
    second = pipeline(strategy(), publish_from=marked)
    second.restore(snapshots)
    after = fed(second, BARS[cut:])
    expected = [one for one in by_hand(all_signals()) if one["provenance"]["offset"] >= cut]
    assert told([*before, *after]) == expected


def test_what_was_said_before_something_else_was_in_force_does_not_count() -> None:
    """After a pause, and after another model or threshold, each symbol's next bar has a signal."""
    target = pipeline(strategy())
    run = target.runs["one"]
    published = fed(target, BARS[:200])
    run.put_in_force(200)
    run.pause()
    assert fed(target, BARS[200:230]) == []
    run.put_in_force(230)
    run.resume()
    published += fed(target, BARS[230:])
    spoken = [signal for signal in all_signals() if not 200 <= signal.provenance.offset < 230]
    assert told(published) == by_hand(spoken, [230])
    again = pipeline(strategy(), in_force_from=230, publish_from=300)
    assert told(fed(again, BARS)) == [one for one in by_hand(spoken, [230]) if one["provenance"]["offset"] >= 300]


def test_a_gap_longer_than_a_heartbeat_is_followed_by_a_signal() -> None:
    minutes = [0, 1, 2, HEARTBEAT - 1, 3 * HEARTBEAT, 3 * HEARTBEAT + 1]
    published = fed(pipeline(strategy()), fetched(bar("A", minute, 100.0) for minute in minutes))
    assert [signal.provenance.offset for signal in published] == [0, 4]
    assert published[1].content.gap == 2 * HEARTBEAT


def test_a_strategy_that_publishes_all_is_as_it_was() -> None:
    plain = ready("one")
    assert not plain.config.keys() & {"publish", "heartbeat"}
    assert b"silent_until" not in encode(all_signals()[0])
    assert ready("one", publish="all").config_hash == plain.config_hash
    assert strategy().config["heartbeat"] == "4m"
    assert (
        Strategy.model_validate(
            {name: value for name, value in strategy().config.items() if name not in ("model", "features", "signal")}
            | {"features": ["technical.rsi"], "signal": "signal.threshold"}
        ).heartbeat
        == "4m"
    )


def test_without_a_heartbeat_it_is_ten_intervals() -> None:
    assert strategy(heartbeat=None).config["heartbeat"] == "10m"
    assert strategy(heartbeat=None, interval="1d").config["heartbeat"] == "10d"


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ({"publish": "all"}, "heartbeat goes with `publish: changes`"),
        ({"heartbeat": "30s"}, "a heartbeat of 30s is shorter than the interval of 1m"),
        ({"signal": "signal.ranking", "heartbeat": None}, "set `publish: all`"),
    ],
)
def test_what_cannot_be(settings: dict[str, Any], mend: str) -> None:
    with pytest.raises((ValueError, ConfigurationError), match=mend):
        strategy(**settings)
