"""Where the owner of a partition goes on, by what the log knows of it.

A round of snapshots is trusted only whole: every state that its roster lists must be there, at its count of bars or
further. A strategy whose states are not is folded again from its origin, by itself, while the others go on; when that
holds for all, the partition is read again from there.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import msgspec
from packaging.version import InvalidVersion, Version

from plugins.fold import gate
from plugins.pipeline.prediction.shadow import ReadyShadow
from plugins.pipeline.run_settings import Lap, RunSettings, unmeasured
from plugins.strategy.identity import plugins_in, same_code_of_states
from plugins.strategy.ready import ReadyStrategy
from schemas.canonical import sha256_hex
from schemas.errors import ConfigurationError
from schemas.wire import Applied, LeaveOut, Marker, Origin, Roster, Snapshot
from streams.kafka.gaps import Span
from streams.kafka.partitioner import PartitionerChange
from streams.recovery.state import StoredState, interval_of

NEWS_TRACK = "news"
"""The track of the strategies that wait for news or references; that of the others has no name."""


@dataclass
class ResumePlan:
    """How a partition goes on: read from `position`, with these states, and what to write first.

    Everything before offset `marked` is on the log already; for a strategy (also for those that do not run here):
    before its offset in `published`. From `settled` on no state is ahead of the reading any more. The strategies in
    `behind` (each with the reason) are folded from `behind_from` by themselves, until they stand where the others do.
    """

    position: int
    snapshots: list[Snapshot]
    applied: dict[str, Applied]
    new: list[Applied]
    published: dict[str, int]
    marked: int
    settled: int
    floor: int | None = None
    roster: str | None = None
    why_rebuilt: str | None = None
    behind: dict[str, str] = field(default_factory=dict)
    behind_from: int = 0
    strategies: list[ReadyStrategy] = field(default_factory=list)
    """Each as it goes on."""
    track: str = ""
    refused: dict[int, int] = field(default_factory=dict)
    """Bars that were refused by a clock: by offset, what it said (ms)."""
    left_out: Mapping[int, LeaveOut] = field(default_factory=dict)
    """By offset, the bars that an operator left out: they are in none of the states."""
    partitioners: Sequence[PartitionerChange] = ()
    """Which partitioner judges the bars, from each offset on; none: the configured one, all of them."""
    unread: Span | None = None
    """What the log held for some of these strategies, and no longer holds."""
    switch_from: dict[str, int] = field(default_factory=dict)
    """By strategy, the offset before which all is on the log, beyond the marker too. No request takes
    effect before it."""


def resume_plan(
    stored: StoredState, strategies: Iterable[ReadyStrategy], topic: str, partition: int, begin: int, end: int
) -> ResumePlan:
    """Where each strategy goes on; `begin` and `end` are the offsets that the log of the bars holds now. Strategies
    that wait for news are folded again together, as they share what is known of it.

    Raises `ConfigurationError` for a strategy whose plugins are older here than those in force, and for bars that are
    gone though their signals are there.
    """
    ready = list(strategies)
    marker = stored.marker or Marker(topic, partition, 0, {}, track=stored.track)
    check_not_shorter(f"{topic}/{partition}", end, marker.offset)
    configured = _Configured(stored, marker, topic, partition, begin, end)
    applied = {strategy.name: configured.in_force(strategy) for strategy in ready}
    snapshots, faults = _usable(stored, ready, applied, partition, begin)
    if faults and stored.track:
        snapshots, faults = [], dict.fromkeys(applied, "; ".join(f"{name}: {why}" for name, why in faults.items()))
    together = marker.floor is None or (len(faults) == len(ready) and bool(ready))
    for name in applied if together else faults:
        if applied[name].origin.offset < begin:
            applied[name] = _moved(applied[name], max(begin, configured.published(applied[name])), begin)
            why = faults.get(name, "there are no snapshots")
            faults[name] = f"{why}; it has a new origin, as the log no longer reaches its old one"
    new = [entry for name, entry in applied.items() if entry is not stored.applied.get(name)]
    published = marker.published | {name: configured.published(entry) for name, entry in applied.items()}
    back = max(begin, _memory_begin(stored, applied.values(), end) if ready else marker.offset)
    if together or marker.floor is None:
        reasons = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        planned = ResumePlan(back, [], applied, new, published, marker.offset, back, why_rebuilt=reasons or None)
    else:
        floor = marker.floor
        settled = max((snapshot.offset for snapshot in snapshots), default=floor)
        planned = ResumePlan(floor, snapshots, applied, new, published, marker.offset, settled, floor, marker.roster)
    planned.strategies, planned.track, planned.refused = ready, stored.track, stored.refused
    planned.left_out = stored.left_out
    planned.unread = configured.unread(applied)
    planned.switch_from = {name: max(published[name], stored.dealt_with(entry)) for name, entry in applied.items()}
    if faults and planned.floor is not None:
        planned.behind = faults
        planned.behind_from = min(
            planned.floor, max(begin, _memory_begin(stored, [applied[name] for name in faults], end))
        )
    return planned


def check_not_shorter(place: str, end: int, published: int, what: str = "signals") -> None:
    """`ConfigurationError` when the log ends before what was published of it."""
    if published > end:
        raise ConfigurationError(
            f"{place} ends at offset {end}, but its {what} up to offset {published} are published:"
            " the topic was made anew, or has lost records; choose another kafka.prefix"
        )


def of_track(strategies: Iterable[ReadyStrategy], track: str) -> list[ReadyStrategy]:
    """Those of the first track ("") wait for nothing; the others for what their bars are joined with."""
    return [strategy for strategy in strategies if strategy.waits == bool(track)]


def _memory_begin(stored: StoredState, entries: Iterable[Applied], end: int) -> int:
    """The oldest origin of these strategies, and of all that ever shared their memory of repeats."""
    entries = list(entries)
    remembered = stored.memory_begin({interval_of(entry) for entry in entries})
    origins = [entry.origin.offset for entry in entries]
    return min(origins if remembered is None else [*origins, remembered], default=end)


@dataclass(frozen=True)
class _Configured:
    """What the configuration asks for, against what is in force on a partition."""

    stored: StoredState
    marker: Marker
    topic: str
    partition: int
    begin: int
    end: int

    def published(self, entry: Applied) -> int:
        """Everything before this offset is on the log, or was never to be."""
        return max(entry.publish_from, entry.offset, self.marker.published.get(entry.strategy, 0))

    def unread(self, names: Iterable[str]) -> Span | None:
        """The bars that some of the strategies that ran before have not had yet, and that the log no longer holds."""
        reached = [self.published(entry) for name in names if (entry := self.stored.applied.get(name))]
        first = min(reached, default=self.begin)
        return Span(first, self.begin) if first < self.begin else None

    def in_force(self, strategy: ReadyStrategy) -> Applied:
        """What is in force for the strategy from now on; a new record where that is not on the log yet."""
        known = self.stored.applied.get(strategy.name)
        if known is None:
            origin = self.begin if strategy.origin == "earliest" else self.end
            begin = max(origin, self.end) if strategy.start == "now" else origin
            return self._entry(strategy, begin, origin, begin)
        at = max(self.published(known), self.stored.dealt_with(known))
        left_out = self.stored.left_out_of(strategy.interval)
        check_sections(strategy, known, [self.stored.left_out[bar] for bar in left_out if bar < at])
        if known.config_hash == strategy.config_hash:
            same = known.left_out == left_out
            return known if same else msgspec.structs.replace(known, offset=at, left_out=left_out)
        _refuse_older(known, strategy)
        if keeps_state(known, strategy):
            return self._entry(strategy, at, known.origin.offset, known.publish_from)
        return self._entry(strategy, at, self.begin if strategy.origin == "earliest" else at, at)

    def _entry(self, strategy: ReadyStrategy, offset: int, origin: int, publish_from: int) -> Applied:
        return Applied(
            strategy=strategy.name,
            topic=self.topic,
            partition=self.partition,
            offset=offset,
            origin=Origin(self.partition, origin),
            publish_from=publish_from,
            config_hash=strategy.config_hash,
            config=strategy.config,
            model=strategy.model_id,
            layout=strategy.layout,
            artifact=strategy.artifact,
            paused=known.paused if (known := self.stored.applied.get(strategy.name)) else False,
            left_out=self.stored.left_out_of(strategy.interval),
        )


def check_sections(strategy: ReadyStrategy, known: Applied, left_out: Iterable[LeaveOut]) -> None:
    """`ConfigurationError` where a bar is to be left out that a cross-section has seen: no later one of its times, and
    of the others' where it was closed, would be decided any more.
    """
    seen = [
        bar
        for bar in left_out
        if bar.offset not in known.left_out and bar.offset >= known.origin.offset and strategy.universe.ever(bar.symbol)
    ]
    if strategy.at_once and seen:
        raise ConfigurationError(
            f"strategy {strategy.name} decides about all symbols at once and has had {bar_in_words(seen[0])}, which"
            " cannot be left out: what was decided with it is on the log, and later times count as late; give the"
            " strategy another name, so that its cross-sections begin anew"
        )


def bar_in_words(bar: LeaveOut) -> str:
    return f"the bar of {bar.symbol} at offset {bar.offset} of {bar.topic}/{bar.partition}"


def keeps_state(known: Applied, strategy: ReadyStrategy) -> bool:
    """A model or a threshold may change under a state; features, their code, and which symbols they were folded for,
    may not.
    """
    return (
        known.layout == strategy.layout
        and known.config.get("universe") == strategy.universe.resolved
        and same_code_of_states(known.config, strategy.config)
    )


def _renews(former: Applied, entry: Applied) -> bool:
    """Does the state begin anew with `entry`?"""
    return (
        former.layout != entry.layout
        or former.config.get("universe") != entry.config.get("universe")
        or not same_code_of_states(former.config, entry.config)
    )


def _moved(known: Applied, publish_from: int, begin: int) -> Applied:
    return msgspec.structs.replace(
        known, offset=publish_from, publish_from=publish_from, origin=Origin(known.partition, begin)
    )


def _refuse_older(known: Applied, strategy: ReadyStrategy) -> None:
    """A worker that was not updated yet must not take a partition back to old plugins."""
    in_force = {str(plugin.get("key")): str(plugin.get("version")) for plugin in plugins_in(known.config)}
    for plugin in plugins_in(strategy.config):
        key, version = plugin["key"], plugin["version"]
        if key in in_force and _older(version, in_force[key]):
            raise ConfigurationError(
                f"strategy {strategy.name} runs with {key} version {in_force[key]} on {known.topic}/{known.partition},"
                f" and this worker has version {version}: update it (`alphawire plugins` shows what it has)"
            )


def _older(a: str, b: str) -> bool:
    try:
        return Version(a) < Version(b)
    except InvalidVersion:
        return a < b


def _usable(
    stored: StoredState, strategies: list[ReadyStrategy], applied: dict[str, Applied], partition: int, begin: int
) -> tuple[list[Snapshot], dict[str, str]]:
    """The states to go on with: those of the last complete round, and later ones; and the strategies that cannot, each
    with the reason.

    What a round does not list, and is not newer, was left behind by a strategy that did not run then.
    """
    marker, roster = stored.marker, stored.roster
    if marker is None or marker.floor is None:
        return [], {}
    everyone = {strategy.name for strategy in strategies}
    if marker.floor < begin:
        why = f"bars before offset {begin} are gone, and the last round of snapshots is of offset {marker.floor}"
        return [], dict.fromkeys(everyone, why)
    if roster is None or roster.floor != marker.floor:
        return [], dict.fromkeys(everyone, "the roster of the last round of snapshots is missing or another one's")
    states = _States(stored, roster, partition)
    faults = {}
    for strategy in strategies:
        entry, memory = applied[strategy.name], strategy.memory
        changed = entry is not stored.applied.get(strategy.name, entry) and not keeps_state(
            stored.applied[strategy.name], strategy
        )
        fault = (
            ("it was changed, so its state begins anew" if changed else None)
            or states.with_bars_left_out(entry)
            or states.of_another_configuration(stored.history.get(strategy.name, []))
            or states.absent(strategy.name, entry.origin.offset)
            or states.fault(memory, gate.LAYOUT)
            or states.fault(strategy.name, strategy.layout)
            or states.order_fault(strategy)
        )
        if fault:
            faults[strategy.name] = fault
    sound = {strategy.name for strategy in strategies} - faults.keys()
    owners = sound | {strategy.memory for strategy in strategies if strategy.name in sound}
    return [snapshot for owner in owners for snapshot in states.of(owner).values()], faults


class _States:
    """The snapshots of a partition, by owner and symbol, against the roster of the last complete round."""

    def __init__(self, stored: StoredState, roster: Roster, partition: int) -> None:
        self._floor = roster.floor
        self._strategies = roster.strategies
        self._left_out = set(roster.left_out)
        self._partition = partition
        self._counts: dict[str, dict[str, int]] = defaultdict(dict)
        self._snapshots: dict[str, dict[str, Snapshot]] = defaultdict(dict)
        for key, count in roster.counts.items():
            owner, _, symbol = key.partition("/")
            self._counts[owner][symbol] = count
        for snapshot in stored.snapshots.values():
            if snapshot.offset > self._floor or snapshot.symbol in self._counts[snapshot.owner]:
                self._snapshots[snapshot.owner][snapshot.symbol] = snapshot

    def of(self, owner: str) -> dict[str, Snapshot]:
        return self._snapshots[owner]

    def of_another_configuration(self, history: Sequence[Applied]) -> str | None:
        """The round was taken before the strategy's state began anew: its owner died before the next one."""
        renewed = [entry for former, entry in pairwise(history) if _renews(former, entry)]
        if renewed and renewed[-1].origin.offset < self._floor <= renewed[-1].offset:
            return "it was changed after the last round of snapshots"
        return None

    def with_bars_left_out(self, entry: Applied) -> str | None:
        """The round was taken before an operator left bars out, so they may be in its states."""
        if more := sorted(set(entry.left_out) - self._left_out):
            return f"an operator left out bars that may be in its state: {', '.join(map(str, more[:3]))}"
        return None

    def absent(self, name: str, origin: int) -> str | None:
        """It began before the round, which does not know it."""
        if origin < self._floor and name not in self._strategies:
            return f"{name} is not in the last round of snapshots"
        return None

    def fault(self, owner: str, layout: str) -> str | None:
        snapshots = self._snapshots[owner]
        for symbol, count in self._counts[owner].items():
            if self._stale(snapshots.get(symbol), count):
                return f"the snapshot {owner}/{symbol} is missing or stale"
        for symbol, snapshot in snapshots.items():
            if snapshot.partition != self._partition:
                return f"the snapshot {owner}/{symbol} is of partition {snapshot.partition}"
            if sha256_hex(snapshot.payload) != snapshot.sha256:
                return f"the snapshot {owner}/{symbol} is damaged"
            if snapshot.layout != layout:
                return f"the snapshot {owner}/{symbol} has the layout of another plugin version or other parameters"
        return None

    def _stale(self, snapshot: Snapshot | None, count: int) -> bool:
        if snapshot is None or snapshot.count < count:
            return True
        return snapshot.offset <= self._floor and snapshot.count != count

    def order_fault(self, strategy: ReadyStrategy) -> str | None:
        """A gate ahead of a strategy behind it would take that strategy's next bars for repeats."""
        mine = self._snapshots[strategy.name]
        for symbol, memory in self._snapshots[strategy.memory].items():
            if memory.offset <= self._floor or not strategy.universe.ever(symbol):
                continue
            if symbol not in mine or mine[symbol].offset < memory.offset:
                return f"the snapshot {strategy.name}/{symbol} is older than the memory of repeats"
        return None


def run_settings(
    plan: ResumePlan,
    shadows: Mapping[str, ReadyShadow] = MappingProxyType({}),
    asleep: Container[str] = (),
    lap: Lap = unmeasured,
) -> dict[str, RunSettings]:
    """How each strategy of the plan runs: where its fold begins, and what is published already. Those in `asleep` wait
    for states that another pipeline folds; `lap` measures features and models.
    """
    return {
        name: RunSettings(
            origin_offset=entry.origin.offset,
            publish_from=plan.published[name],
            in_force_from=entry.offset,
            paused=entry.paused,
            asleep=name in asleep,
            shadow=shadows.get(name),
            lap=lap,
        )
        for name, entry in plan.applied.items()
    }
