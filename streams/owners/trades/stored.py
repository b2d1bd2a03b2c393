"""What the log knows of the bars that were being made on a partition of `trades`, and where its owner goes on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from plugins.fold.trades.builder import LAYOUT
from plugins.fold.trades.kinds import BarKind, TimeRules
from schemas.canonical import sha256_hex
from schemas.errors import BadRecord
from schemas.wire import DeletedUnread, RefusedBars, decode_control
from schemas.wire.trades import BuiltKind, BuiltMarker, OpenBars, decode_trades_state
from streams.kafka.gaps import Span, merged
from streams.kafka.log import Log
from streams.kafka.topics import topic_name

log = logging.getLogger("alphawire.trades")


@dataclass
class StoredBars:
    """The latest of each record on the log; `begin` and `end`: the trades that it holds."""

    begin: int
    end: int
    marker: BuiltMarker | None = None
    states: dict[tuple[str, str], OpenBars] = field(default_factory=dict)
    """By name of the kind, and symbol."""
    refused: dict[int, int] = field(default_factory=dict)
    """By offset, the clock (ms) by which a trade was refused."""
    unread: list[Span] = field(default_factory=list)

    @property
    def marked(self) -> int:
        return self.marker.offset if self.marker else 0

    def take_state(self, value: bytes | None) -> None:
        """A record of `trades.state`, in log order."""
        try:
            record = decode_trades_state(value)
        except BadRecord as error:
            log.warning("a foreign record on the topic of the open bars is ignored: %s", error)
            return
        if isinstance(record, BuiltMarker):
            self.marker = record
        else:
            self.states[record.interval, record.symbol] = record

    def take_control(self, topic: str, value: bytes | None) -> None:
        """A record of `control`, in log order."""
        try:
            record = decode_control(value)
        except BadRecord:
            return
        if isinstance(record, RefusedBars) and record.topic == topic:
            self.refused |= zip(record.offsets, record.clocks, strict=True)
        elif isinstance(record, DeletedUnread) and record.topic == topic:
            self.unread = merged([*self.unread, Span(record.begin, record.end)])


@dataclass
class BuildPlan:
    """Where a partition goes on: at `position`, with these states; bars of trades from `publish_from` on are sent."""

    position: int
    publish_from: int
    kinds: dict[str, BuiltKind]
    states: Mapping[tuple[str, str], OpenBars]
    floor: int | None
    why_rebuilt: str | None = None
    source: str = ""
    """How the trades are read: `Kafka.source_of`."""


def rules_of(kind: BuiltKind) -> TimeRules:
    """By which its bars are made."""
    return TimeRules(kind.lateness_ms, kind.session, kind.sessions, kind.flat)


def build_plan(stored: StoredBars, kinds: Mapping[BarKind, TimeRules], source: str = "") -> BuildPlan:
    """For these kinds, each with its rules. A kind that is new, or has other rules than before, begins where the bars
    of the others are published, and so do all where trades are read by another source; states that cannot be used are
    folded again from their kind's origin.
    """
    marker = stored.marker
    known = marker.kinds if marker else {}
    same = marker is None or marker.source == source
    first = stored.begin if marker is None else max(marker.offset, stored.begin)
    chosen: dict[str, BuiltKind] = {}
    for kind, rules in kinds.items():
        before = known.get(kind.name)
        if same and before is not None and rules_of(before) == rules:
            chosen[kind.name] = replace(before)
        else:
            chosen[kind.name] = BuiltKind(first, rules.lateness_ms, 0, rules.session, rules.sessions, rules.flat)
            if before is not None:
                log.warning("bars of %s are made otherwise than before, from offset %d on", kind.name, first)
    fault = _fault(stored, {name for name, kind in chosen.items() if kind == known.get(name)})
    if fault is None and marker is not None and marker.floor is not None:
        states = {
            (name, symbol): state
            for (name, symbol), state in stored.states.items()
            if name in chosen and state.offset > chosen[name].origin
        }
        return BuildPlan(marker.floor, stored.marked, chosen, states, marker.floor, None, source)
    for built in chosen.values():
        built.states = 0
        if built.origin < stored.begin:
            built.origin = max(stored.begin, stored.marked)
            fault = f"{fault or 'there are no states'}; the trades from its origin on are gone, so it begins anew"
    position = min(built.origin for built in chosen.values())
    return BuildPlan(position, stored.marked, chosen, {}, None, fault if marker else None, source)


def _fault(stored: StoredBars, going_on: set[str]) -> str | None:
    """Why the states of the last round cannot be gone on with; None: they can."""
    marker = stored.marker
    if marker is None or marker.floor is None:
        return "there is no complete round of states"
    if marker.floor < stored.begin:
        return f"trades before offset {stored.begin} are gone, and the last round of states is of offset {marker.floor}"
    for name in sorted(going_on):
        known = marker.kinds[name]
        states = [state for (kind, _), state in stored.states.items() if kind == name and state.offset > known.origin]
        if sum(state.number <= known.states for state in states) < known.states:
            return f"a state of {name} is missing"
        for state in states:
            if state.layout != LAYOUT or state.partition != marker.partition:
                return f"the state {name}/{state.symbol} is of another version, or partition"
            if sha256_hex(state.payload) != state.sha256:
                return f"the state {name}/{state.symbol} is damaged"
    return None


async def load_bars(source: Log, number: int) -> StoredBars:
    """What the log holds of a partition of `trades`."""
    topic = topic_name(source, "trades")
    stored = StoredBars(*await source.offset_range("trades", number))
    async for record in source.records("trades.state", number, isolation="read_committed"):
        stored.take_state(record.value)
    async for record in source.records("control", number, isolation="read_committed"):
        stored.take_control(topic, record.value)
    return stored
