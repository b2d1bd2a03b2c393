"""Bars that were made of trades, live, against those that the same log gives again: byte for byte, in their order."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from plugins.fold.trades.builder import BarBuilder, feed_each
from plugins.fold.trades.kinds import BarKind
from plugins.fold.trades.symbol_bars import ClosedBar
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Bar, decode_bar, encode
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import TradeDecoder
from streams.consuming.trade_intake import TradeIntake
from streams.kafka.gaps import describe_unread
from streams.kafka.log import Log
from streams.owners.trades.stored import StoredBars, load_bars, rules_of

MADE_OF = "trades"
"""Header of a bar that was made of trades: PARTITION/FIRST-LAST/COUNT, offsets on `trades`."""


Place = tuple[str, str, int]
"""Symbol, interval and opening of a bar."""


class BuiltBar(NamedTuple):
    """A bar's bytes, of which trades it was made, and the offset of the record that closed it (-1: not known)."""

    value: bytes
    made_of: bytes
    closed_by: int = -1

    @property
    def bar(self) -> Bar:
        return decode_bar(self.value)


@dataclass(frozen=True)
class BarDifference:
    """`kind`: missing, extra, or different, and then in `field`."""

    kind: str
    partition: int
    symbol: str
    interval: str
    open_time: int
    field: str | None = None


@dataclass
class BuiltBarsVerdict:
    """`equal` bars on the topic of all `bars` that the trades before the markers give; `repeats` came again, which a
    broker without transactions allows. `earlier`: bars that were made by kinds or rules of before, which the log does
    not say any more.
    """

    bars: int = 0
    equal: int = 0
    repeats: int = 0
    earlier: int = 0
    differences: list[BarDifference] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences and not self.unread


async def verify_bars(log: Log, progress: Callable[[int], None] = lambda _: None) -> BuiltBarsVerdict:
    """Folds all trades of the log again, and compares. `ConfigurationError` where nobody made bars of trades, or where
    the trades from the first on are gone.
    """
    verdict = BuiltBarsVerdict()
    count = await log.partition_count("trades")
    for number in range(count):
        stored = await load_bars(log, number)
        if stored.marker is not None:
            await _compare(log, number, stored, verdict, progress)
    if not verdict.bars and not verdict.differences:
        raise ConfigurationError("no bars of trades are on this log; does `alphawire bars` run on these topics?")
    return verdict


async def _compare(
    log: Log, number: int, stored: StoredBars, verdict: BuiltBarsVerdict, progress: Callable[[int], None]
) -> None:
    verdict.unread += describe_unread(f"trades/{number}", stored.unread)
    demanded: dict[Place, BuiltBar] = {}
    async for one, offset in again(log, number, stored, progress):
        built = BuiltBar(encode(one.bar), one.made_of(number), offset)
        demanded[key(built)] = built
    live: dict[Place, BuiltBar] = {}
    async for record in log.records("bars", number, isolation="read_committed"):
        made_of = dict(record.headers).get(MADE_OF)
        if made_of is not None and record.value is not None:
            built = BuiltBar(record.value, made_of)
            if _is_earlier(built, stored):
                verdict.earlier += 1
                continue
            verdict.repeats += live.setdefault(key(built), built) is not built
    for place in sorted(demanded.keys() | live.keys(), key=lambda place: (place[2], place)):
        here, there = live.get(place), demanded.get(place)
        if here is None and there is not None and there.closed_by >= stored.marked:
            continue  # not published yet
        verdict.bars += there is not None
        if difference := _difference(number, place, here, there):
            verdict.differences.append(difference)
        else:
            verdict.equal += 1


def _is_earlier(built: BuiltBar, stored: StoredBars) -> bool:
    kind = stored.marker.kinds.get(built.bar.interval) if stored.marker else None
    last = int(built.made_of.rpartition(b"/")[0].rpartition(b"-")[2])
    return kind is None or last < kind.origin


async def again(
    log: Log, number: int, stored: StoredBars, progress: Callable[[int], None]
) -> AsyncGenerator[tuple[ClosedBar, int], None]:
    """The bars that the trades of a partition give, each with the offset of the record that closed it."""
    kinds = stored.marker.kinds if stored.marker else {}
    if (first := min(kind.origin for kind in kinds.values())) < stored.begin:
        raise ConfigurationError(
            f"trades/{number} begins at offset {stored.begin}, and its bars at {first}: trades are gone"
        )
    builders = {
        name: BarBuilder(BarKind.of(name), rules_of(kind), whole=kind.origin == 0) for name, kind in kinds.items()
    }
    partitions = await log.partition_count("trades")
    source = stored.marker.source if stored.marker else ""
    decoder = TradeDecoder(source, log.schemas) if source else None
    intake = TradeIntake(number, partitions, log.partitioner, ClockBound(stored.refused, stored.end), decoder)
    async for batch in log.batches("trades", number, first, "read_committed"):
        progress(len(batch))
        await intake.prepare(batch)
        for record in batch:
            try:
                trade = intake.read(record)
            except BadRecord:
                continue
            if trade is None:
                continue
            closed, _ = feed_each(builders, trade, record.offset, lambda name: kinds[name].origin)
            for one in closed:
                yield one, record.offset


def key(built: BuiltBar) -> Place:
    bar = built.bar
    return bar.symbol, bar.interval, bar.open_time


def _difference(number: int, place: Place, live: BuiltBar | None, wanted: BuiltBar | None) -> BarDifference | None:
    if live is not None and wanted is not None and live[:2] == wanted[:2]:
        return None
    symbol, interval, time = place
    if live is None or wanted is None:
        return BarDifference("missing" if live is None else "extra", number, symbol, interval, time)
    here, there = live.bar, wanted.bar
    names = [name for name in Bar.__struct_fields__ if getattr(here, name) != getattr(there, name)]
    return BarDifference("different", number, symbol, interval, time, names[0] if names else MADE_OF)
