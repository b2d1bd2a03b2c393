"""Bars that end their symbol, as one of another century does: how to find them, and to have them left out.

An operator asks for it on `control`. The next owner of the partition obeys: its `applied` records say from which offset
on the bar is in no state, and the states are folded again without it. What was published before stays as it is.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from schemas.wire import Bar, LeaveOut, canonical_interval, encode
from streams.consuming.intake import Intake, log_intake
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog, Log, LogRecord
from streams.kafka.topics import topic_name
from streams.publishing.writer import PRODUCER, Record, Writer
from streams.recovery.plan import bar_in_words, check_sections
from streams.recovery.state import StoredState, interval_of, load, load_control, marker_key


@dataclass(frozen=True)
class Ending:
    """A bar, and how many bars of its symbol come after it on the log though they open before its end, none of them a
    repeat: they are late because of it.
    """

    partition: int
    offset: int
    bar: Bar
    late: int


@dataclass
class _Symbol:
    """The bars of one interval that were taken, and by the newest of them: how many are late because of it."""

    taken: list[tuple[int, Bar]] = field(default_factory=list)
    times: set[int] = field(default_factory=set)
    late: dict[int, int] = field(default_factory=dict)

    def take(self, offset: int, bar: Bar) -> None:
        if not self.taken or bar.open_time >= self.taken[-1][1].close_time:
            self.taken.append((offset, bar))
        elif bar.open_time not in self.times:
            last = len(self.taken) - 1
            self.late[last] = self.late.get(last, 0) + 1
        self.times.add(bar.open_time)


async def endings(log: Log, symbol: str) -> list[Ending]:
    """The bars of the symbol that make later ones late, those that do it to most of them first."""
    found = []
    for partition in range(count := await log.partition_count()):
        control, intervals = await load_control(log, partition), dict[str, _Symbol]()
        intake = log_intake(log, partition, count, control.partitioners)
        passed = control.refused.keys() | control.left_out.keys()
        async for record in log.records("bars", partition, isolation="read_committed"):
            if record.offset in passed or (bar := await _bar(intake, record)) is None:
                continue
            if bar.symbol == symbol and intake.is_key(record.key, bar):
                intervals.setdefault(canonical_interval(bar.interval), _Symbol()).take(record.offset, bar)
        for one in intervals.values():
            found += [Ending(partition, *one.taken[number], late) for number, late in one.late.items()]
    return sorted(found, key=lambda ending: (-ending.late, ending.partition, ending.offset))


async def _bar(intake: Intake, record: LogRecord) -> Bar | None:
    """The closed bar that a record is; one of several cannot be left out alone."""
    await intake.prepare([record])
    bars = [bar for bar in intake.bars(record) if bar.closed]
    return bars[0] if len(bars) == 1 else None


async def leave_out(
    kafka: Kafka,
    strategies: Sequence[ReadyStrategy],
    symbol: str,
    places: Iterable[tuple[int, int]],
    new_origin: bool = False,
) -> list[LeaveOut]:
    """Asks that the bars of the symbol at these `places` (partition and offset) be left out, once all can be;
    `new_origin`: also where states must begin anew, as the log no longer holds all that is in them.

    Raises
    ------
    ConfigurationError
        For a place that holds no bar of the symbol, or one that is in no state; and for one that a cross-section has
        seen.
    """
    log, asked = KafkaLog(kafka), list[LeaveOut]()
    for partition, offset in places:
        stored = await load(log, await _existing(log, partition))
        bar = await _bar_at(log, partition, offset, symbol)
        _check(bar, stored, strategies)
        if not new_origin:
            begin, _ = await log.offset_range("bars", partition)
            _check_origins(bar, stored, {strategy.name for strategy in strategies}, begin)
        asked.append(bar)
    async with open_producer(kafka, **PRODUCER) as producer:
        for bar in asked:
            record = Record(topic_name(kafka, "control"), marker_key(bar.topic, bar.partition), encode(bar))
            await Writer(producer).write(bar.partition, [record])
    return asked


async def _existing(log: Log, partition: int) -> int:
    if not 0 <= partition < (count := await log.partition_count()):
        raise ConfigurationError(f"there is no partition {partition}; {topic_name(log, 'bars')} has 0 to {count - 1}")
    return partition


async def _bar_at(log: Log, partition: int, offset: int, symbol: str) -> LeaveOut:
    topic = topic_name(log, "bars")
    begin, end = await log.offset_range("bars", partition)
    if not begin <= offset < end:
        there = f"holds offsets {begin} to {end - 1}" if begin < end else "is empty"
        raise ConfigurationError(
            f"{topic}/{partition} {there}, not {offset}; what is gone from the log leaves the states with"
            " `alphawire state rebuild STRATEGY`"
        )
    intake = log_intake(log, partition, await log.partition_count(), (await load_control(log, partition)).partitioners)
    async for record in log.records("bars", partition, offset, isolation="read_committed"):
        bar = await _bar(intake, record) if record.offset == offset else None
        if bar is None or not intake.is_key(record.key, bar):
            break
        if bar.symbol != symbol:
            raise ConfigurationError(f"{topic}/{partition} offset {offset} is a bar of {bar.symbol}, not of {symbol}")
        return LeaveOut(topic, partition, offset, symbol, canonical_interval(bar.interval), bar.close_time)
    raise ConfigurationError(f"{topic}/{partition} offset {offset} is no bar that was taken")


def _check(bar: LeaveOut, stored: StoredState, strategies: Sequence[ReadyStrategy]) -> None:
    where = bar_in_words(bar)
    if bar.offset in stored.refused:
        raise ConfigurationError(f"{where} was refused by a worker's clock: it is in no state")
    if bar.offset in stored.left_out:
        raise ConfigurationError(f"{where} is left out already, from the next owner of the partition on")
    for strategy in strategies:
        if strategy.interval == bar.interval and (known := stored.applied.get(strategy.name)):
            check_sections(strategy, known, [bar])


def _check_origins(bar: LeaveOut, stored: StoredState, names: Collection[str], begin: int) -> None:
    for name, known in stored.applied.items():
        if name in names and interval_of(known) == bar.interval and known.origin.offset < begin:
            raise ConfigurationError(
                f"{bar.topic}/{bar.partition} begins at offset {begin} now, after the origin {known.origin.offset} of"
                f" {name}'s states: those of all its symbols there would begin anew; say --new-origin if they may"
            )
