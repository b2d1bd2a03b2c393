"""An owned partition of `trades`: the bars that are open, and those that are still to be written.

All bars follow from the log alone. What the owner adds, by its clock, are ticks: records on `trades` itself, by which
the bars of a silent symbol close once they are read back.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from plugins.fold.trades.builder import LAYOUT, BarBuilder, feed_each
from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.symbol_bars import ClosedBar
from plugins.pipeline.outcome import Failure
from schemas.canonical import sha256_hex
from schemas.errors import BadRecord
from schemas.wire import RefusedBars, encode
from schemas.wire.trades import BuiltKind, BuiltMarker, OpenBars, Tick, Trade
from streams.consuming.intake import DeadLetter
from streams.consuming.trade_intake import TradeIntake
from streams.consuming.transport import Chunk
from streams.owners.fed_partition import FedPartition
from streams.owners.trades.stored import BuildPlan, StoredBars, rules_of
from streams.process.failpoints import failpoint
from streams.publishing.pending_output import Progress
from streams.publishing.tallies import Tally, letter_tally
from streams.publishing.topic_names import TopicNames
from streams.publishing.writer import Record, dead_record
from streams.recovery.state import marker_key

log = logging.getLogger("alphawire.trades")


class TradesPartition(FedPartition):
    """State and pending output of one partition; `now` (s, monotonic) tells since when a symbol is silent."""

    def __init__(
        self, number: int, names: TopicNames, intake: TradeIntake, plan: BuildPlan, stored: StoredBars, now: float
    ) -> None:
        super().__init__(f"trades/{number}", number, plan.position, stored.marked)
        self.names, self.topic = names, names.trades
        self.counts: Counter[str] = Counter()
        self.intake = intake
        self._plan = plan
        self._marked_then = stored.marked
        self.floor = plan.floor
        self._builders = {name: _builder(name, kind) for name, kind in plan.kinds.items()}
        self._known: dict[tuple[str, str], int] = {}
        """By kind and symbol: records before this offset are in the state already."""
        self._numbers: dict[tuple[str, str], int] = {}
        self._changed: set[tuple[str, str]] = set()
        for place, state in plan.states.items():
            self._builders[place[0]].restore(state.symbol, state.payload)
            self._known[place], self._numbers[place] = state.offset, state.number
        self._heard: dict[str, float] = {}
        self._since = self._now_feeding = now
        self._ticked: dict[str, int] = {}
        """By symbol, the time of the last tick that was written and may not be read back yet."""
        self._refused = 0
        self.whole_from = stored.marked

    @property
    def failures(self) -> Mapping[str, Failure]:
        """None: there is no code of others here."""
        return {}

    @property
    def restored(self) -> bool:
        return self.position >= self._marked_then

    def feed_at(self, chunk: Chunk, now: float) -> None:
        """`feed`, at the time `now` (s, monotonic)."""
        self._now_feeding = now
        self.feed(chunk)

    def _step_over(self, chunk: Chunk) -> None:
        records: list[Record] = []
        tally: Tally = Counter()
        for record in chunk.records:
            if record.offset >= self.position:
                records += self._outcome(record, tally)
        self._put_refused()  # before the position moves on: what was refused is no proof of what follows
        self.position = chunk.next
        self._put(records, tally=tally)
        self._count_outside()
        failpoint("after_trades")

    def _outcome(self, record: Any, tally: Tally) -> list[Record]:
        """What a record leads to; nothing where that is on the log already. It is added to the `tally`."""
        publish = record.offset >= self._plan.publish_from
        try:
            trade = self.intake.read(record)
            closed, refusals = self._fold(trade, record.offset) if trade is not None else ([], {})
        except BadRecord as bad:
            closed, refusals = [], {"": bad}
        if not publish:
            return []
        out = [self._bar_record(one) for one in closed]
        self.counts["bars"] += len(closed)
        tally.update(("bar", one.bar.interval) for one in closed)
        if refusals:
            self.counts["dead_letters"] += 1
            letter = _letter(record, refusals)
            tally += letter_tally([letter])
            out.append(dead_record(self.names.dead_letters, letter, self.number))
        return out

    def _fold(self, trade: Trade | Tick, offset: int) -> tuple[list[ClosedBar], dict[str, BadRecord]]:
        """The bars that close, and by kind why the trade is in none."""
        self.counts["ticks" if isinstance(trade, Tick) else "trades"] += 1
        self._heard[trade.symbol] = self._now_feeding

        def begin(name: str) -> int:
            return max(self._plan.kinds[name].origin, self._known.get((name, trade.symbol), 0))

        closed, refusals = feed_each(self._builders, trade, offset, begin)
        for name in self._builders:
            place = name, trade.symbol
            if offset >= begin(name) and (place in self._numbers or isinstance(trade, Trade)):
                self._note_changed(place)
        if isinstance(trade, Tick) and self._ticked.get(trade.symbol, 0) <= trade.time:
            self._ticked.pop(trade.symbol, None)
        return closed, refusals

    def _count_outside(self) -> None:
        if any(kind.session for kind in self._plan.kinds.values()):
            self.counts["outside_sessions"] = max(builder.outside for builder in self._builders.values())

    def _note_changed(self, place: tuple[str, str]) -> None:
        self._changed.add(place)
        if place not in self._numbers:
            self._numbers[place] = 1 + sum(name == place[0] for name, _ in self._numbers)

    def _bar_record(self, closed: ClosedBar) -> Record:
        bar, headers = closed.bar, (("trades", closed.made_of(self.number)),)
        return Record(self.names.bars, bar.symbol.encode(), encode(bar), bar.close_time, headers, self.number)

    def _put_refused(self) -> None:
        """What the clock has just refused is on the log before anything that follows."""
        refused = self.intake.bound.refused
        if len(refused) == self._refused:
            return
        fresh = list(refused)[self._refused :]
        self._refused = len(refused)
        value = RefusedBars(self.topic, self.number, fresh, [refused[offset] for offset in fresh])
        key = marker_key(self.topic, self.number)
        self._put([Record(self.names.control, key, encode(value), partition=self.number)], apart=True)

    def tick(self, time: int, now: float, grace: float) -> int:
        """Writes ticks for the symbols that are silent for `grace` seconds at `now` and have a bar that was over at
        `time` (ms); how many.
        """
        ticks: dict[str, int] = {}
        for builder in self._builders.values():
            for tick in builder.due(time):
                silent = now - self._heard.get(tick.symbol, self._since) >= grace
                if silent and self._ticked.get(tick.symbol, -1) < tick.time:
                    ticks[tick.symbol] = max(tick.time, ticks.get(tick.symbol, 0))
        self._ticked |= ticks
        if ticks:
            failpoint("before_ticks")
            self._put([
                Record(self.topic, symbol.encode(), encode(Tick(symbol, end)), end, partition=self.number)
                for symbol, end in sorted(ticks.items())
            ])  # fmt: skip
        return len(ticks)

    def round_ready(self) -> bool:
        """Not while trades are passed over that are published already, or that some state, of an unfinished round,
        includes: it would be written down under an older offset.
        """
        return self.restored and self.position >= max(self._known.values(), default=0)

    def marker_record(self, reached: Progress) -> Record:
        """The marker never goes back while earlier trades are folded silently."""
        offset = max(self._marked_then, reached.position)
        marker = BuiltMarker(self.topic, self.number, offset, self._plan.kinds, self.floor, self._plan.source)
        key = marker_key(self.topic, self.number)
        return Record(self.names.trades_state, key, encode(marker), partition=self.number)

    def capture(self) -> tuple[int, list[Record], dict[str, int]]:
        """Where the partition is, the states that changed since the last capture, and how many each kind has."""
        offset, states = self.position, [self._state_record(place) for place in sorted(self._changed)]
        self.snapshot_position, self._changed = offset, set()
        counts = Counter(name for name, _ in self._numbers)
        return offset, states, {name: counts[name] for name in self._builders}

    def complete(self, offset: int, counts: Mapping[str, int]) -> None:
        """The round of states at `offset` is on the log: the next marker says so."""
        self.floor = offset
        for name, count in counts.items():
            self._plan.kinds[name].states = count

    def _state_record(self, place: tuple[str, str]) -> Record:
        (name, symbol), number = place, self._numbers[place]
        payload = self._builders[name].snapshot(symbol)
        digest = sha256_hex(payload)
        state = OpenBars(name, symbol, self.number, self.position, number, LAYOUT, digest, payload)
        return Record(self.names.trades_state, f"{name}/{symbol}".encode(), encode(state), partition=self.number)


def _builder(name: str, kind: BuiltKind) -> BarBuilder:
    return BarBuilder(BarKind.of(name), rules_of(kind), whole=kind.origin == 0)


def _letter(record: Any, refusals: Mapping[str, BadRecord]) -> DeadLetter:
    """One letter for a trade, whichever kinds refuse it."""
    bad = next(iter(refusals.values()))
    kinds = ", ".join(filter(None, refusals))
    return DeadLetter(record, bad.kind, f"{kinds}: {bad.reason}" if kinds else bad.reason)
