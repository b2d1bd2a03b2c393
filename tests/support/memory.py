"""A worker without a broker: its real partitions, publishers and states, its records in plain lists."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from plugins.base.streaming import trial_bars
from plugins.pipeline.accepted_bars import AcceptedBars
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import RunSettings, Source
from plugins.side_inputs.news.join import NewsJoin
from plugins.side_inputs.references import ReferenceJoin
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Config, Strategy
from schemas.errors import BadRecord
from schemas.wire import Applied, ShadowPrediction, Signal, encode
from schemas.wire.news import decode_news
from schemas.wire.side_inputs import decode_side_input
from streams.consuming.intake import Intake
from streams.consuming.side_inputs import Follow, RecordsRead
from streams.consuming.transport import TP, Chunk
from streams.kafka.gaps import Span
from streams.owners.bars_owner import BarsOwner
from streams.owners.shadows import Shadows
from streams.process.exits import Exit
from streams.publishing.writer import Output, Record, each_record
from streams.recovery.conditions import conditions_of, say
from streams.recovery.plan import ResumePlan, of_track, resume_plan
from streams.recovery.state import StoredState
from streams.requests.control_requests import ControlRequests

MINUTE = 60_000
FEATURES: list[Any] = ["technical.rsi", {"statistical.z_score": {"window": 5}}]
CONFIG = Config(worker={"commit_interval": 60, "snapshot_interval": 60, "delivery_timeout": 3600, "pending": 50})


@dataclass(frozen=True)
class Fetched:
    """A record as a consumer hands it out."""

    offset: int
    value: bytes | None
    key: bytes | None
    topic: str = "bars"
    partition: int = 0
    timestamp: int = 0
    timestamp_type: int = 0


def ready(name: str, **changes: Any) -> ReadyStrategy:
    """A strategy that needs no model."""
    settings: dict[str, Any] = {
        "interval": "1m",
        "features": FEATURES,
        "prediction": "rsi",
        "signal": {"key": "signal.threshold", "buy_threshold": 60.0, "sell_threshold": 40.0},
        "start": "earliest",
    }
    return ready_strategy(name, Strategy.model_validate(settings | changes))


def with_shadows(shadows: Shadows) -> dict[str, RunSettings]:
    """Runs as they are configured, each with its shadow."""
    return {name: RunSettings(shadow=shadow) for name, shadow in shadows.ready.items()}


def stepped(features: list[Any], count: int = 40, prediction: str = "rsi_change") -> pd.DataFrame:
    """The strategy's columns, bar by bar, as its run steps over them."""
    strategy = ready("one", features=features, prediction=prediction)
    bars = trial_bars(count)
    run = Pipeline([strategy], Source("", 0, "")).runs["one"]
    run.grow(1)
    run.member[0] = True
    parts = []
    for first in range(0, count, 7):
        chunk = bars[first : first + 7]
        none = np.zeros(len(chunk), np.int64)
        accepted = AcceptedBars(chunk, none, np.arange(first, first + len(chunk)), none, ["X"])
        parts.append(run.step(accepted).features.values)
    return pd.DataFrame(np.concatenate(parts), columns=strategy.columns)


def bar(symbol: str, minute: int, close: float, interval: str = "1m", **changes: Any) -> dict[str, Any]:
    """A valid bar that opens at `minute`."""
    length = {"1m": MINUTE, "5m": 5 * MINUTE}[interval]
    opened = 1_380_000_000_000 + minute * MINUTE
    return {
        "symbol": symbol, "interval": interval, "open_time": opened, "close_time": opened + length,
        "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 100.0,
    } | changes  # fmt: skip


def fetched(bars: Iterable[dict[str, Any] | bytes]) -> list[Fetched]:
    """Bars (or raw bytes) as records of one partition, by offset; the key is the symbol."""
    return [
        Fetched(offset, value, b"?") if isinstance(value, bytes)
        else Fetched(offset, encode(value), value["symbol"].encode())
        for offset, value in enumerate(bars)
    ]  # fmt: skip


def messy_bars(rng: random.Random, symbols: Sequence[str], count: int) -> list[dict[str, Any] | bytes]:
    """Bars as they come: gaps, repeats, corrections, late ones, other intervals, rubbish."""
    log: list[dict[str, Any] | bytes] = []
    minutes = dict.fromkeys(symbols, 0)
    while len(log) < count:
        symbol, dice = rng.choice(symbols), rng.random()
        if dice < 0.05:
            log.append(rng.choice([b"rubbish", b"{}", b'{"symbol":"A"}']))
        elif dice < 0.15 and log:
            log.append(rng.choice(log))
        elif dice < 0.20 and isinstance(log[-1:] and log[-1], dict):
            log.append(log[-1] | {"volume": rng.uniform(1, 9)})
        elif dice < 0.25:
            log.append(bar(symbol, minutes[symbol], 100 + rng.gauss(0, 1), "5m"))
        else:
            minutes[symbol] += rng.choice([1, 1, 1, 1, 2, 7])
            log.append(bar(symbol, minutes[symbol], 100 + rng.gauss(0, 1)))
    return log


class Crash(Exception):
    """The process died at this point."""


@dataclass
class Log:
    """What the broker has; of the scores those from offset `scores_from` on."""

    records: list[Record] = field(default_factory=list)
    scores_from: int = 0

    def of(self, topic: str) -> list[Record]:
        return [record for record in self.records if record.topic == topic]

    def stored(self, compacted: bool = False) -> StoredState:
        stored = StoredState(bars="bars")
        state = self.of("state")
        for record in {r.key: r for r in state}.values() if compacted else state:
            stored.take_state(record.value)
        for record in self.of("control"):
            stored.take_control(record.value)
        for record in self.of("signals"):
            signal = msgspec.json.decode(record.value or b"", type=Signal)
            name, after = signal.content.strategy, signal.provenance.offset + 1
            stored.beyond[name] = max(stored.beyond.get(name, 0), after)
        return stored

    def signals(self) -> dict[str, bytes]:
        """Each id's bytes; an id with two different ones is an error."""
        found: dict[str, bytes] = {}
        for record in self.of("signals"):
            identity = msgspec.json.decode(record.value or b"", type=Signal).content.id
            assert found.setdefault(identity, record.value) == record.value
        return found

    def shadows(self) -> dict[str, bytes]:
        """What shadows said, by strategy, symbol and time; two different bytes for one of these are an error."""
        found: dict[str, bytes] = {}
        for record in self.of("predictions.shadow"):
            said = msgspec.json.decode(record.value or b"", type=ShadowPrediction)
            assert found.setdefault(f"{said.strategy} {said.symbol} {said.time}", record.value or b"") == record.value
        return found

    def refused(self) -> set[int]:
        """Offsets of bars that a clock refused."""
        return set(self.stored().refused)

    def dead(self) -> set[tuple[bytes, bytes]]:
        return {(dict(r.headers)["offset"], dict(r.headers)["error"]) for r in self.of("dead-letters")}


class Writer:
    """In the place of `streams.publishing.writer.Writer`: at the write numbered `dies_at` only a part arrives, and all
    ends; with `of_control` only writes to that topic are numbered, with `after_state` only those that come next after
    one to the topic `state`: there it shows when that said too much.
    """

    def __init__(
        self, log: Log, rng: random.Random, dies_at: int | None, transactional: bool, of_control: bool = False,
        after_state: bool = False,
    ) -> None:  # fmt: skip
        self._log, self._rng, self._left, self.transactional = log, rng, dies_at, transactional
        self._of_control, self._after_state, self._said_state = of_control, after_state, False

    async def write(self, _partition: int, output: Iterable[Output]) -> None:
        records = list(each_record(output))
        await yield_if_throttled(self._rng)
        counts = not self._of_control or any(record.topic == "control" for record in records)
        counts = counts and (not self._after_state or self._said_state)
        self._said_state = any(record.topic == "state" for record in records)
        if self._left is not None and counts:
            self._left -= 1
            if self._left < 0:
                self._log.records += self._torn(records)
                raise Crash
        self._log.records += records
        await yield_if_throttled(self._rng)

    def _torn(self, records: list[Record]) -> list[Record]:
        """All of a transaction or nothing; else of each topic, which knows nothing of the others, what came first."""
        if self.transactional:
            return self._rng.choice([records, []])
        keep = {topic: self._rng.randint(0, len(records)) for topic in sorted({r.topic for r in records})}
        arrived = []
        for record in records:
            keep[record.topic] -= 1
            if keep[record.topic] >= 0:
                arrived.append(record)
        return arrived


async def yield_if_throttled(rng: random.Random) -> None:
    """Others go on for a while."""
    for _ in range(rng.choice([0, 0, 1, 3])):
        await asyncio.sleep(0)


class WriterFactory:
    """Each life has one writer."""

    exactly_once = False

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    async def open(self, partition: int, track: str = "") -> Any:
        return self._writer

    async def close(self, writer: Any) -> None:
        """Nothing to close."""


class Clock:
    """Jumps when it is read, so that commits and snapshots fall anywhere."""

    def __init__(self, rng: random.Random, pace: float) -> None:
        self._rng, self._now, self._pace = rng, 0.0, pace

    def __call__(self) -> float:
        self._now += self._pace * self._rng.random()
        return self._now


class MemoryOwner(BarsOwner):
    """Restores from a `log` in memory, whose bars are at offsets from `begin` to `end`."""

    def __init__(self, log: Log, rng: random.Random, begin: int, end: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory, self._rng, self._begin, self._end = log, rng, begin, end

    async def _intake_of_others(self, number: int) -> Intake:
        return Intake(number, 1, "murmur2")

    async def restore(self, numbers: Sequence[int]) -> Sequence[list[ResumePlan]]:
        stored = self._memory.stored(self._rng.random() < 0.5)
        ready = [self.requests.at_start(s.name, stored.applied.get(s.name)) for s in self.strategies]
        tracks = self._restorer.tracks
        conditions = conditions_of(stored, self.config.kafka, self.factory.exactly_once, self._end)
        plans = [
            [
                resume_plan(stored.of_track(track), of_track(ready, track), "bars", number, self._begin, self._end)
                for track in tracks
            ]
            for number in numbers
        ]
        for plan in chain.from_iterable(plans):
            say(plan, stored, conditions)
        return plans


async def live(
    log: Log, bars: Sequence[Fetched], strategies: Sequence[ReadyStrategy], rng: random.Random, *,
    dies_at: int | None = None, stops_at: int | None = None, begin: int = 0, transactional: bool = False,
    dies_at_control: bool = False, requests: ControlRequests | None = None,
    meanwhile: Callable[[BarsOwner], None] | None = None, shadows: Shadows | None = None,
    ends: list[Any] | None = None, config: Config = CONFIG, wall_clock: Callable[[], float] = time.time,
    partitions: int = 1, rebalances: float = 0.0,
) -> BarsOwner:  # fmt: skip
    """One life of a worker: goes on where the log says, until it dies at a write, is stopped at an offset, or has
    read all; `meanwhile` happens to it now and then. Why it ended itself goes to `ends`. With the probability
    `rebalances` there is one before a chunk, and the partition comes back.
    """
    died = False

    def die(code: Exit, reason: str, /, **where: int) -> None:
        nonlocal died
        died = True
        if ends is not None:
            ends.append((code, reason, where))

    def reader(_partition: int) -> Any:
        async def read(start: int) -> Any:
            for first in range(start, len(bars), 70):
                yield bars[first : first + 70]
                await yield_if_throttled(rng)

        return read

    clock = Clock(rng, rng.choice([5.0, 60.0, 300.0]))

    def followed(name: str, _partition: int) -> Follow:
        return bars_of(bars, rng) if name == "bars" else records_of(log, name, rng)

    factory = WriterFactory(Writer(log, rng, dies_at, transactional, dies_at_control))
    worker = MemoryOwner(
        log, rng, begin, len(bars), config, strategies, partitions, "v", factory, die, clock,
        requests=requests, shadows=shadows, reader=reader, followed=followed, wall_clock=wall_clock,
    )  # fmt: skip
    try:
        await worker.take_over([0], 1)
    except Crash:
        return worker
    part = worker.partitions[0]
    end = len(bars) if stops_at is None else stops_at
    while part.position < end and not died:
        if rebalances and rng.random() < rebalances:
            await worker.on_revoke({TP("bars", 0)})
            try:
                await worker.take_over([0], worker.generation + 1)
            except Crash:
                died = True
            if died:
                break
            part = worker.partitions[0]
        following = min(part.position + rng.randint(1, 40), end)
        chunk = Chunk(TP("bars", 0), worker.generation, part.position, following, list(bars[part.position : following]))
        feeding = asyncio.create_task(worker.feed(chunk))
        while not (feeding.done() or died):
            await asyncio.sleep(0)
        feeding.cancel()
        if meanwhile and not died:
            meanwhile(worker)
        await yield_if_throttled(rng)
    while part.behind and stops_at is None and not died:
        await asyncio.sleep(0)
    while worker.news_tracks and worker.news_tracks[0].behind and stops_at is None and not died:
        worker.news_tracks[0].wake.set()
        if meanwhile:
            meanwhile(worker)
        await asyncio.sleep(0)
    if not died:
        await worker.on_revoke({TP("bars", 0)})
    await end_tasks(worker)
    return worker


async def end_tasks(owner: Any) -> None:
    """As the end of the process would."""
    left = [publisher._task for own in owner._publishers.values() for publisher in own if publisher._task]
    left += [task for own in owner._tasks.values() for task in own]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def records_of(log: Log, name: str, rng: random.Random) -> Follow:
    """Follows a topic of the log, in lists of any length."""

    async def follow(start: int) -> Any:
        oldest = log.scores_from if name == "news.scores" else 0
        gone = [Span(start, oldest)] if start < oldest else []
        start = max(start, oldest)
        while True:
            records = log.of(name)
            some = records[start : start + rng.randint(1, 30)]
            yield RecordsRead(
                [Fetched(start + i, r.value, r.key, name, timestamp=r.timestamp or 0) for i, r in enumerate(some)],
                start + len(some) == len(records),
                gone,
            )
            start, gone = start + len(some), []
            await asyncio.sleep(0)

    return follow


def bars_of(bars: Sequence[Fetched], rng: random.Random) -> Follow:
    """Follows the partition of the bars, which are all there."""

    async def follow(start: int) -> Any:
        while True:
            some = list(bars[start : start + rng.randint(1, 30)])
            start += len(some)
            yield RecordsRead(some, start == len(bars))
            await asyncio.sleep(0)

    return follow


def news_join(log: Log, strategy: ReadyStrategy) -> NewsJoin:
    """All that the log of scores says, as a replay has it."""
    join = NewsJoin(strategy.joining)
    for offset, record in enumerate(log.of("news.scores")):
        with contextlib.suppress(BadRecord):
            join.take(decode_news(record.value), offset)
    return join


def reference_join(log: Log) -> ReferenceJoin:
    """All that the log of side inputs says, as a replay has it."""
    join = ReferenceJoin()
    for record in log.of("side.inputs"):
        join.take(decode_side_input(record.value))
    return join


def undisturbed(
    bars: Sequence[Fetched],
    strategies: Sequence[ReadyStrategy],
    applied: Mapping[str, Applied] | None = None,
    log: Log | None = None,
) -> dict[str, bytes]:
    """The oracle: the pipeline over all bars in one go, each strategy alone, from where `applied` says, with the scores
    on the `log`.
    """
    found: dict[str, bytes] = {}
    for strategy in strategies:
        join = news_join(log, strategy) if log and strategy.uses_news else None
        settings = {
            name: RunSettings(entry.origin.offset, entry.publish_from, entry.offset)
            for name, entry in (applied or {}).items()
        }
        pipeline = Pipeline([strategy], Source("bars", 0, "v"), settings, join)
        pipeline.refer_to(reference_join(log) if log and strategy.references else None)
        outcome = pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches)
        found |= {signal.content.id: encode(signal) for signal in outcome.signals}
    return found


VARIANTS = [
    ready("one"),
    ready("one", signal={"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}),
    ready("one", features=["technical.rsi", {"statistical.z_score": {"window": 7}}]),
    ready("one", universe=["A", "B"]),
    ready("one", features=[{"technical.rsi": {"period": 5}}], origin="now"),
]
"""What may become of a strategy: its threshold, its features, its universe, its origin."""
LATE = ready("late")
CHANGES = [
    ready("one"),
    ready("one", publish="changes"),
    ready("one", publish="changes", heartbeat="3m"),
    ready("one", publish="changes", signal={"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}),
    ready("one", publish="changes", features=["technical.rsi"]),
]
"""The same for one that publishes changes, or no longer."""


async def changing_lives(
    log: Log,
    bars: Sequence[Fetched],
    always: ReadyStrategy,
    rng: random.Random,
    transactional: bool,
    variants: Sequence[ReadyStrategy] = VARIANTS,
) -> None:
    """Lives in which strategy `one` is now one of the `variants`, now another, and `LATE` is there or not, beside one
    that mostly stays.
    """
    reached = 0
    for _ in range(rng.randint(2, 8)):
        reached = rng.randint(reached, len(bars))
        some = [always, rng.choice(variants)] if rng.random() < 0.7 else [rng.choice(variants)]
        some += [LATE] if rng.random() < 0.4 else []
        dies_at = rng.choice([None, rng.randint(0, 25)])
        await live(log, bars[:reached], some, rng, dies_at=dies_at, transactional=transactional)
    await live(log, bars, [always, LATE, rng.choice(variants)], rng, transactional=transactional)


def without(bars: Sequence[Fetched], offsets: Collection[int]) -> list[Fetched]:
    """All but the bars at these offsets, and others of the same symbols, intervals and times."""
    gone = {_time_of(bars[offset]) for offset in offsets}
    return [record for record in bars if _time_of(record) is None or _time_of(record) not in gone]


def _time_of(record: Fetched) -> tuple[Any, ...] | None:
    try:
        plain = msgspec.json.decode(record.value or b"")
        return plain["symbol"], plain["interval"], plain["open_time"]
    except (KeyError, msgspec.DecodeError):
        return None


def as_applied(log: Log, bars: Sequence[Fetched], strategies: Sequence[ReadyStrategy]) -> dict[str, bytes]:
    """The oracle: what each `applied` on the log demands, from its offset up to the next one's."""
    known = {(strategy.name, strategy.config_hash): strategy for strategy in strategies}
    found: dict[str, bytes] = {}
    for name, entries in log.stored().history.items():
        ends = [entry.offset for entry in entries[1:]] + [len(bars)]
        for entry, end in zip(entries, ends, strict=True):
            if entry.paused:
                continue
            seen = without(bars, entry.left_out)
            signals = undisturbed(seen, [known[name, entry.config_hash]], {name: entry}, log)
            places = {i: msgspec.json.decode(v)["provenance"]["offset"] for i, v in signals.items()}
            found |= {i: value for i, value in signals.items() if entry.offset <= places[i] < end}
    return found
