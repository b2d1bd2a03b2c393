"""Where a partition goes on, by what the log holds: a table of logs, each made by a real partition and then damaged."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import ConfigurationError
from schemas.wire import Marker, Snapshot, encode
from streams.consuming.intake import Intake
from streams.consuming.transport import TP, Chunk
from streams.owners.bars_partition import BarsPartition, LaggingStrategies
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Output, Record, each_record
from streams.recovery.plan import ResumePlan, resume_plan, run_settings
from streams.recovery.state import StoredState
from tests.support.memory import Fetched, bar, fetched, messy_bars, ready, undisturbed

NAMES = TopicNames("bars", "signals", "state", "control", "dead-letters")
BARS = fetched(messy_bars(random.Random(7), ["A", "B", "C"], 300))
END = len(BARS)
ONE = ready("one")
TORN = Snapshot("one", "D", 0, 170, 1, ONE.layout, sha256="", payload=b"")


class Owner:
    """A partition in its owner's hands, whose records go to `stored`; `work` publishes and marks up to an offset."""

    def __init__(
        self, stored: StoredState, *strategies: ReadyStrategy, begin: int = 0, bars: list[Fetched] = BARS
    ) -> None:
        self.stored, self.bars = stored, bars
        self.plan = resume_plan(stored, strategies, "bars", 0, begin, len(bars))
        source, late = Source("bars", 0, "v"), [s for s in strategies if s.name in self.plan.behind]
        lagging = None
        if late:
            own = Pipeline(late, source, run_settings(self.plan))
            lagging = LaggingStrategies(own, Intake(0, 1, "murmur2"), self.plan)
        pipeline = Pipeline(strategies, source, run_settings(self.plan, asleep=self.plan.behind))
        self.part = BarsPartition(0, NAMES, Intake(0, 1, "murmur2"), pipeline, self.plan, lagging)
        self.signals: dict[str, bytes] = {}

    def write(self, output: Sequence[Output]) -> None:
        for record in each_record(output):
            if record.topic == "state":
                self.stored.take_state(record.value, record.key)
            elif record.topic == "control":
                self.stored.take_control(record.value)
            elif record.topic == "signals":
                identity = msgspec.json.decode(record.value or b"")["content"]["id"]
                assert self.signals.setdefault(identity, record.value or b"") == record.value

    def work(self, upto: int = END) -> "Owner":
        part = self.part
        part.feed(Chunk(TP("bars", 0), 1, part.position, upto, self.bars[part.position : upto]))
        while part.behind:
            begin, end = part.behind.position, min(part.behind.position + 40, part.position)
            part.feed_behind(self.bars[begin:end], end)
        return self.publish()

    def publish_once(self) -> None:
        records, self.part.reached = self.part.take(1_000)
        self.write(records)

    def publish(self) -> "Owner":
        part = self.part
        while part.waiting or not part.acknowledged(part.position):
            self.publish_once()
        self.write([part.marker_record(part.reached)])
        return self

    def snapshots(self) -> list[Record]:
        """A round's snapshots, not on the log yet."""
        self.capture = self.part.capture()
        return list(self.part.snapshot_records(self.capture))

    def round(self) -> "Owner":
        self.write(self.snapshots())
        roster = self.part.roster_record(self.capture)
        self.write([roster])
        self.part.complete(self.capture, roster)
        self.write([self.part.marker_record(self.part.reached)])
        return self


def stored_at_200(*strategies: ReadyStrategy) -> StoredState:
    """A round at offset 150, published up to 200."""
    stored = StoredState()
    Owner(stored, *(strategies or (ONE,))).work(150).round().work(200)
    return stored


def planned(stored: StoredState, *strategies: ReadyStrategy, begin: int = 0, end: int = END) -> ResumePlan:
    return resume_plan(stored, strategies or (ONE,), "bars", 0, begin, end)


def going_on(stored: StoredState, *strategies: ReadyStrategy) -> dict[str, bytes]:
    """The signals of an owner that takes over from here."""
    return Owner(stored, *(strategies or (ONE,))).work().signals


def from_offset(offset: int, *strategies: ReadyStrategy) -> dict[str, bytes]:
    """The oracle's signals of bars from `offset` on."""
    found = undisturbed(BARS, strategies or (ONE,))
    return {i: v for i, v in found.items() if msgspec.json.decode(v)["provenance"]["offset"] >= offset}


def test_an_empty_log() -> None:
    found = planned(StoredState())
    assert (found.position, found.marked, found.snapshots, found.why_rebuilt) == (0, 0, [], None)
    assert [entry.strategy for entry in found.new] == ["one"]
    assert going_on(StoredState()) == from_offset(0)


@pytest.mark.parametrize(
    ("changes", "origin", "publish_from"),
    [
        ({"start": "now"}, 20, END),
        ({"start": "earliest"}, 20, 20),
        ({"start": 1_380_000_000_000}, 20, 20),
        ({"start": "now", "origin": "now"}, END, END),
        ({"start": "earliest", "origin": "now"}, END, END),
    ],
)
def test_a_new_strategy_begins_as_configured(changes: dict[str, Any], origin: int, publish_from: int) -> None:
    found = planned(StoredState(), ready("one", **changes), begin=20)
    (entry,) = found.new
    assert (entry.origin.offset, entry.publish_from, entry.offset) == (origin, publish_from, publish_from)
    assert (found.position, found.published) == (origin, {"one": publish_from})


def test_a_start_time_publishes_from_that_time() -> None:
    start = 1_380_000_000_000 + 30 * 60_000
    signals = going_on(StoredState(), ready("one", start=start))
    times = [msgspec.json.decode(value)["content"]["time"] for value in signals.values()]
    every = [msgspec.json.decode(value)["content"]["time"] for value in undisturbed(BARS, [ready("one")]).values()]
    assert sorted(times) == sorted(time for time in every if time >= start)


def test_a_marker_without_a_round() -> None:
    stored = StoredState()
    Owner(stored, ONE).work(120)
    found = planned(stored)
    assert (found.position, found.marked, found.floor, found.why_rebuilt) == (0, 120, None, None)
    assert going_on(stored) == from_offset(120)


def test_a_good_round() -> None:
    stored = stored_at_200()
    found = planned(stored)
    assert (found.position, found.marked, found.published, found.floor) == (150, 200, {"one": 200}, 150)
    assert found.why_rebuilt is None
    assert not found.new
    assert {(s.owner, s.symbol) for s in found.snapshots} == {(o, s) for o in ("one", ":1m") for s in "ABC"}
    assert going_on(stored) == from_offset(200)


def altered(stored: StoredState, key: str, **changes: Any) -> None:
    stored.snapshots[key] = msgspec.structs.replace(stored.snapshots[key], **changes)


def old_roster(stored: StoredState) -> None:
    """The roster of the round before, as a reader of a torn log sees it."""
    before = StoredState()
    Owner(before, ONE).work(100).round()
    stored.rosters = before.rosters


def gate_ahead(stored: StoredState) -> None:
    """Of a round at 200 only the gate's snapshots are there."""
    owner = Owner(stored, ONE).work(200)
    owner.write([r for r in owner.snapshots() if (r.key or b"").startswith(b":1m/")])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda s: s.snapshots.pop("one/B"), "one/B is missing or stale"),
        (lambda s: s.snapshots.pop(":1m/B"), ":1m/B is missing or stale"),
        (lambda s: altered(s, "one/A", count=s.snapshots["one/A"].count - 1, offset=90), "one/A is missing or stale"),
        (lambda s: altered(s, "one/A", count=s.snapshots["one/A"].count + 1), "one/A is missing or stale"),
        (lambda s: altered(s, "one/A", count=s.snapshots["one/A"].count - 1, offset=170), "one/A is missing or stale"),
        (lambda s: altered(s, "one/C", payload=bytes(99)), "one/C is damaged"),
        (lambda s: altered(s, ":1m/C", payload=bytes(99)), ":1m/C is damaged"),
        (lambda s: altered(s, "one/C", layout="another"), "one/C has the layout of another"),
        (lambda s: altered(s, ":1m/A", layout="another"), ":1m/A has the layout of another"),
        (lambda s: s.snapshots.update({"one/D": TORN}), "one/D is damaged"),
        (lambda s: altered(s, "one/A", partition=3), "one/A is of partition 3"),
        (lambda s: s.rosters.clear(), "the roster"),
        (old_roster, "the roster"),
        (gate_ahead, "older than the memory of repeats"),
    ],
)  # fmt: skip
def test_a_round_that_is_not_whole_is_folded_again(damage: Callable[[StoredState], Any], reason: str) -> None:
    stored = stored_at_200()
    damage(stored)
    found = planned(stored)
    assert reason in (found.why_rebuilt or "")
    assert (found.position, found.snapshots, found.floor, found.marked) == (0, [], None, 200)
    assert going_on(stored) == from_offset(200)


@pytest.mark.parametrize("kept", range(7))
def test_a_later_round_that_broke_off_is_used_as_far_as_it_goes(kept: int) -> None:
    """Snapshots of a round at 200, the first `kept` of six; the marker still names the round at 150."""
    stored = stored_at_200()
    owner = Owner(stored, ONE).work(200)
    snapshots = owner.snapshots()
    assert len(snapshots) == 6
    owner.write(snapshots[:kept])
    found = planned(stored)
    assert (found.position, found.why_rebuilt) == (150, None)
    assert sorted(s.offset for s in found.snapshots)[6 - kept :] == [200] * kept
    assert found.settled == (200 if kept else 150)
    assert going_on(stored) == from_offset(200)


def test_a_round_whose_marker_never_came_is_no_loss() -> None:
    """All of the round at 200 is on the log, its roster too; the marker still names the one at 150."""
    stored = stored_at_200()
    owner = Owner(stored, ONE).work(200)
    owner.write(owner.snapshots())
    owner.write([owner.part.roster_record(owner.capture)])
    found = planned(stored)
    assert (found.position, found.why_rebuilt, found.behind) == (150, None, {})
    assert {snapshot.offset for snapshot in found.snapshots} == {200}
    assert going_on(stored) == from_offset(200)


def test_snapshots_of_other_strategies_are_ignored() -> None:
    stored = stored_at_200(ONE, ready("other"))
    altered(stored, "other/A", payload=b"damaged")
    found = planned(stored)
    assert found.why_rebuilt is None
    assert {s.owner for s in found.snapshots} == {"one", ":1m"}
    assert found.published == {"one": 200, "other": 200}
    assert going_on(stored) == from_offset(200)


@pytest.mark.parametrize(("start", "publish_from"), [("earliest", 0), ("now", END)])
def test_a_new_strategy_beside_an_old_one(start: str, publish_from: int) -> None:
    """It is folded by itself; the old one goes on from its round."""
    stored, two = stored_at_200(), ready("two", start=start)
    found = planned(stored, ONE, two)
    assert found.behind == {"two": "two is not in the last round of snapshots"}
    assert (found.position, found.behind_from) == (150, 0)
    assert (found.why_rebuilt, found.published) == (None, {"one": 200, "two": publish_from})
    assert [entry.strategy for entry in found.new] == ["two"]
    assert going_on(stored, ONE, two) == from_offset(200) | from_offset(publish_from, two)


def test_a_new_strategy_whose_first_round_never_came() -> None:
    """It is on `control`, so no longer new, but the round that the marker names does not hold it."""
    stored, two = stored_at_200(), ready("two")
    stored.take_control(msgspec.json.encode(planned(stored, ONE, two).new[0]))
    assert going_on(stored, ONE, two) == from_offset(200) | from_offset(0, two)


def test_a_new_strategy_that_begins_now_needs_no_rebuilding() -> None:
    stored, two = stored_at_200(), ready("two", origin="now", start="now")
    found = planned(stored, ONE, two)
    assert (found.position, found.why_rebuilt, found.published["two"]) == (150, None, END)


def test_a_strategy_that_comes_back_is_folded_again_and_publishes_on() -> None:
    stored, two = stored_at_200(ONE, ready("two")), ready("two")
    Owner(stored, ONE).work(250).round()
    found = planned(stored, ONE, two)
    assert (list(found.behind), found.position, found.behind_from) == (["two"], 250, 0)
    assert found.published == {"one": 250, "two": 200}
    assert going_on(stored, ONE, two) == from_offset(250) | from_offset(200, two)


def test_the_memory_of_repeats_is_as_old_as_the_first_strategy_that_used_it() -> None:
    """Also when that one is gone: folded again for the younger one, it begins where it began."""
    stored, young = stored_at_200(), ready("young", origin="now")
    stored.take_control(msgspec.json.encode(planned(stored, young, end=220).new[0]))
    stored.rosters.clear()
    found = planned(stored, young)
    assert (found.applied["young"].origin.offset, found.position) == (220, 0)
    assert planned(stored, ready("other", interval="5m", origin="now")).position == END


def test_a_strategy_without_a_symbol_here_is_part_of_the_round() -> None:
    absent = ready("absent", universe=["ELSEWHERE"])
    found = planned(stored_at_200(ONE, absent), ONE, absent)
    assert found.why_rebuilt is None


def test_the_log_no_longer_reaches_the_origin_but_the_round_does() -> None:
    found = planned(stored_at_200(), begin=150)
    assert (found.position, found.why_rebuilt, found.new) == (150, None, [])


def test_the_log_no_longer_reaches_the_round() -> None:
    """A new origin, told and on `control`; published on from where it was, but not from before the new origin."""
    stored = stored_at_200()
    owner = Owner(stored, ONE, begin=160)
    assert "a new origin" in (owner.plan.why_rebuilt or "")
    assert "offset 160 are gone" in (owner.plan.why_rebuilt or "")
    (entry,) = owner.plan.new
    assert (entry.origin.offset, entry.publish_from, owner.plan.position) == (160, 200, 160)
    owner.work()
    assert [e.publish_from for e in stored.history["one"]] == [0, 200]
    offsets = [msgspec.json.decode(value)["provenance"]["offset"] for value in owner.signals.values()]
    assert min(offsets) >= 200
    assert {msgspec.json.decode(v)["provenance"]["origin"]["offset"] >= 160 for v in owner.signals.values()} == {True}


def test_bars_that_were_made_anew_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="bars/0 ends at offset 10, but its signals up to offset 200"):
        planned(stored_at_200(), end=10)


def test_foreign_records_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    stored = stored_at_200()
    stored.take_state(b"rubbish")
    stored.take_state(None)
    stored.take_control(b'{"kind":"wish"}')
    assert planned(stored).why_rebuilt is None
    assert "a foreign record on the state topic is ignored" in caplog.text


def test_markers_are_of_the_bars_and_told_apart_by_track() -> None:
    """On one partition of `state`, in whatever order."""
    bars = Marker("bars", 0, 7, {"one": 7})
    news = Marker("bars", 0, 5, {"two": 5}, track="news")
    gathered = Marker("predictions", 0, 90, {"two": 90})
    for markers in ([bars, news, gathered], [gathered, news, bars], [news, bars, gathered]):
        stored = StoredState(bars="bars")
        for marker in markers:
            stored.take_state(encode(marker))
        assert stored.marker == bars
        assert stored.tracks["news"].marker == news
        assert stored.published == {"one": 7, "two": 5}


def test_a_strategy_knows_of_no_bar_before_its_own_first_one() -> None:
    """The memory of repeats is older than the strategy, but its first bar follows nothing: gap is null."""
    stored, bars = StoredState(), fetched([bar("A", minute, 100.0) for minute in (0, 1, 5, 6)])
    Owner(stored, ready("old"), bars=bars[:3]).work(3).round()
    late = Owner(stored, ready("old"), ready("late", origin="now"), bars=bars[:3])
    late.bars = bars
    signals = [msgspec.json.decode(value)["content"] for value in late.work(4).signals.values()]
    assert {s["strategy"]: s["gap"] for s in signals} == {"old": 0, "late": None}


def test_a_round_waits_for_the_signals_of_those_that_have_just_joined() -> None:
    """Its states include bars whose signals may still be on their way, though the others' are all on the log."""
    stored, two = stored_at_200(), ready("two")
    owner = Owner(stored, ONE, two)
    part = owner.part
    part.feed(Chunk(TP("bars", 0), 1, part.position, END, BARS[part.position :]))
    owner.publish_once()
    part.feed_behind(BARS, END)
    assert (part.behind, part.published) == (None, END)
    assert not part.acknowledged(END)
    owner.publish_once()
    assert part.acknowledged(END)


def test_what_a_strategy_publishes_below_the_last_marker_has_a_marker_of_its_own() -> None:
    """The partition is folded silently, from the round at 150 on, up to its marker at 200. A strategy that joins there,
    or was away until then, publishes meanwhile: without a marker the next owner would publish it once more.
    """
    part = Owner(stored_at_200(), ONE, ready("two")).part
    part.feed(Chunk(TP("bars", 0), 1, part.position, 180, BARS[part.position : 180]))
    part.feed_behind(BARS[:180], 180)
    assert part.behind is None
    _, joined = part.take(1_000)
    part.note_marker(joined)
    assert not part.advances(joined)
    part.feed(Chunk(TP("bars", 0), 1, 180, 190, BARS[180:190]))
    output, reached = part.take(1_000)
    records = each_record(output)
    assert {msgspec.json.decode(record.value or b"")["content"]["strategy"] for record in records} == {"two"}
    assert part.advances(reached)
    published = msgspec.json.decode(part.marker_record(reached).value or b"", type=Marker).published
    assert published == {"one": 200, "two": 190}


def test_a_state_that_began_anew_is_not_taken_from_the_round_before() -> None:
    """The owner wrote what is in force, and died before its first round: the last one is of the former universe."""
    former, two = ready("one", universe=["A"]), ready("two")
    stored = stored_at_200(former, two)
    Owner(stored, ONE, two).publish()
    assert planned(stored, ONE, two).behind == {"one": "it was changed after the last round of snapshots"}
    assert going_on(stored, ONE, two) == from_offset(200, ONE, two)
