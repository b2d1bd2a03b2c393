"""A Faust transport that hands an agent one chunk per partition and fetch, not one record.

Registered under the entry point group ``faust.transports``: ``broker="alphawire://host:port"`` picks it, and agents
stay ordinary Faust agents whose events have a `Chunk` as their value. What it changes of the stock consumer, and why,
is said at each method; line references are to faust-streaming 0.15.3.

A chunk knows the offsets that it covers, gaps included: compaction and aborted transactions leave some. So do its
pieces, and whoever steps over all of them has passed all of it.

>>> from types import SimpleNamespace
>>> records = [SimpleNamespace(offset=offset) for offset in (10, 11, 14, 15)]
>>> chunk = Chunk(TP("bars", 0), generation=1, start=10, next=17, records=records)
>>> [(piece.start, piece.next, len(piece.records)) for piece in chunk.pieces(2)]
[(10, 14, 2), (14, 17, 2)]
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import faust
from aiokafka.errors import KafkaError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.kafka.gaps import PartitionGaps, Span, clipped
from streams.kafka.gaps.detection import watch_gaps
from streams.kafka.header_repair import read_tolerantly
from streams.process import trace
from streams.process.exits import Die, cause, no_silent_end
from streams.process.failpoints import failpoint

GROUP_LOOK = 1.0
"""Seconds between two looks at what became of the client's part in its group."""


@dataclass(slots=True)
class Chunk:
    """Records of one partition: everything from offset `start` up to, not including, `next`."""

    tp: TP
    generation: int
    start: int
    next: int
    records: list[Any]
    gaps: Sequence[Span] = ()
    """Offsets of records that there were, and that nobody can read any more."""

    def pieces(self, size: int) -> "list[Chunk]":
        """The same in parts of at most `size` records."""
        starts = range(0, len(self.records), size)
        parts = [self.records[first : first + size] for first in starts]
        bounds = [self.start, *(part[0].offset for part in parts[1:]), self.next]
        return [
            Chunk(self.tp, self.generation, start, following, part, clipped(self.gaps, start, following))
            for (start, following), part in zip(pairwise(bounds), parts, strict=True)
        ]


class Owner(Protocol):
    """Who knows where partitions stand: the worker. The transport asks it, and tells it what is taken away."""

    die: Die

    @property
    def topics(self) -> Collection[str]:
        """Whose partitions it deals with."""

    def positions(self) -> Mapping[TP, int]:
        """Where to read on, for the partitions whose state it has."""

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        """Take over what is the owner's of all that was `assigned`."""

    async def on_revoke(self, revoked: set[TP]) -> None:
        """Finish what is begun, within its own deadline, and forget the partitions."""

    def marked(self) -> Mapping[TP, int]:
        """Of each partition that it has, or had: everything before this offset is dealt with, and the log says so."""


class ChunkSchema(faust.Schema):  # type: ignore[misc]
    """Passes the chunk through as it is; decoding is the agent's work."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


@dataclass
class FetchWait:
    """For how long (ms) the broker may hold a fetch back: `shortest` at the end of the log, `longest` behind it.

    Apache Kafka answers as soon as there is something, so there both are the same. Tansu 0.6 answers an empty fetch
    only when the wait is over, and takes the wait as the time that it may search for records, longer with each batch
    on the log (seen): a wait that found nothing, though there was something, is doubled.
    """

    shortest: int
    longest: int
    missed: bool = False

    def __post_init__(self) -> None:
        self.now = self.longest

    def after(self, found: bool, behind: bool) -> int:
        """The wait of the next fetch, after one that `found` records and left the reader `behind` the end, or not."""
        if not found:
            self.missed, self.now = self.now < self.longest, self.longest
        elif behind:
            self.now = self.longest
        else:
            self.shortest = min(self.longest, 2 * self.shortest) if self.missed else self.shortest
            self.missed, self.now = False, self.shortest
        return self.now


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Stock, but for how long the broker may hold a fetch back (stock: 1.5 s, K:606), and without what was aborted: a
    replay does not see that either.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        read_tolerantly()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.fetch_wait.now
        consumer._isolation_level = "read_committed"
        watch_gaps()
        consumer._key_deserializer = self.consumer.gaps
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        self._watching = self.thread_loop.create_task(self._watch_group())

    async def _watch_group(self) -> None:
        """Ends the worker when its client has given the group up (seen: it asked a broker that had just started and
        knew of no broker yet). aiokafka tells who asks; Faust never does, and the worker would live on for nothing.

        Asks again for topics that the client knows nothing of: Faust's leader gives nobody their partitions, and the
        client by itself would ask after five minutes. What it learns makes the leader give them out.
        """
        consumer = self._ensure_consumer()
        while not self.should_stop:
            try:
                consumer._coordinator.check_errors()
            except KafkaError as error:
                self.consumer.owner.die(cause(error), f"the client left its consumer group: {error}")
            if not all(map(consumer.partitions_for_topic, consumer.subscription())):
                consumer._client.force_metadata_update()
            await asyncio.sleep(GROUP_LOOK)

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """Gaps are looked for from where is sought, beside the seek and in the thread that takes the broker's answers:
        else a transaction's mark in an answer that came at once would be passed unseen, and told as a gap later.
        """
        for tp, offset in partitions.items():
            self.consumer.gaps.begin(tp, offset)
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        records = await super()._fetch_records(consumer, *args, **kwargs)
        ends = {tp: batch[-1].offset + 1 for tp, batch in records.items() if batch}
        for tp, end in ends.items():
            trace.note_fetched(f"{tp.topic}/{tp.partition}", records[tp][0].offset, end)
        self.consumer.note_passed(ends, consumer._subscription)
        behind = any((consumer.highwater(tp) or 0) > end for tp, end in ends.items() if tp in consumer.assignment())
        consumer._fetcher._fetch_max_wait_ms = self.app.fetch_wait.after(bool(ends), behind)
        return records


class Consumer(driver.Consumer):  # type: ignore[misc]
    """The stock consumer, by chunks, with its ledger mended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ledger: dict[TP, deque[tuple[int, int]]] = defaultdict(deque)
        self._expected: dict[TP, int] = {}
        self._passed: dict[TP, tuple[int, int]] = {}
        self._told: dict[TP, int] = {}
        self.gaps = PartitionGaps()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def owner(self) -> Owner:
        owner: Owner = self.app.owner
        return owner

    def log_end(self, tp: TP) -> int | None:
        """Offset after the last record of `tp` that there is to read, as the last fetch told; None before one.

        Records of an open transaction are not to be read yet, and where all that could be fetched was fetched, what
        lies between its last record and the end are marks of transactions, which never are.
        """
        consumer = getattr(self._thread, "_consumer", None)
        assignment = consumer and consumer._subscription.subscription and consumer._subscription.subscription.assignment
        state = assignment and assignment.state_value(tp)
        if not state or state.highwater is None or not state.has_valid_position:
            return None
        end: int = state.highwater if state.lso is None else min(state.highwater, state.lso)
        if state.position < end:
            return end
        return self._passed.get(tp, (end, end))[0]

    def note_passed(self, ends: Mapping[TP, int], subscription: Any) -> None:
        """After a fetch, which handed out records up to `ends`. From there to where the client is now lies nothing that
        is ever handed out: marks of transactions, and what aborted ones wrote. Called in the fetching thread.
        """
        assignment = subscription.subscription and subscription.subscription.assignment
        for tp, (end, _) in list(self._passed.items()):
            state = assignment.state_value(tp) if assignment and tp in assignment.tps else None
            if state and state.has_valid_position:
                self._passed[tp] = ends.get(tp, end), state.position

    def _group_offsets(self) -> dict[TP, int]:
        """What monitors of the group should see: what is dealt with, and what there is nothing to do about."""
        assigned, offsets = self.assignment(), dict[TP, int]()
        for tp, marked in self.owner.marked().items():
            if tp in assigned and marked > 0:
                end, position = self._passed.get(tp, (marked, marked))
                offsets[tp] = max(marked, position) if end <= marked else marked
        return offsets

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: the ledger knows each chunk's end. (Stock counts a message's own offset as a gap, C:1164.)"""

    def _new_offset(self, tp: TP) -> int | None:
        """The end of the last chunk that is acked with all chunks before it."""
        ledger, acked, reached = self._ledger[tp], self._acked_index[tp], None
        while ledger and ledger[0][0] in acked:
            last, reached = ledger.popleft()
            acked.discard(last)
        self._acked[tp] = []
        return reached

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """One message per partition and fetch.

        The generation is taken before the fetch (stock takes it after, C:739, and lets records of an old assignment
        pass as new). What cannot be handed on is sought back to, never dropped (stock drops, C:758).
        """
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        failpoint("after_fetch")
        batches = {ensure_TP(tp): batch for tp, batch in records.items() if batch}
        for tp, batch in batches.items():
            for chunk in self._slices(tp, batch, generation):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    await self._read_again(set(batches))
                    return
                if active is not None and tp not in active and tp not in self._buffered_partitions:
                    await self._read_again({tp})
                    break
                self._expected[tp] = chunk.next
                self._ledger[tp].append((chunk.next - 1, chunk.next))
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                trace.note("handed on", f"{tp.topic}/{tp.partition}", chunk.next)
                yield tp, self._chunk_message(chunk)

    def _slices(self, tp: TP, batch: list[Any], generation: int) -> list[Chunk]:
        start = self._expected.get(tp, batch[0].offset)
        fresh = batch if batch[0].offset >= start else [record for record in batch if record.offset >= start]
        size = self.app.chunk_records
        chunks = []
        for first in range(0, len(fresh), size):
            part = fresh[first : first + size]
            following = part[-1].offset + 1
            chunks.append(Chunk(tp, generation, start, following, part, self.gaps.take(tp, start, following)))
            start = following
        return chunks

    def _chunk_message(self, chunk: Chunk) -> ConsumerMessage:
        record = chunk.records[-1]
        return ConsumerMessage(
            chunk.tp.topic, chunk.tp.partition, chunk.next - 1, (record.timestamp or 0) / 1000, record.timestamp_type,
            [], None, chunk, None, None, None, chunk.tp, generation_id=chunk.generation,
        )  # fmt: skip

    async def _read_again(self, tps: set[TP]) -> None:
        """Back to what was to come next, where that is known; after a rebalance `perform_seek` has set it anew."""
        assigned = self.assignment()
        targets = {tp: self._expected[tp] for tp in tps if tp in assigned and tp in self._expected}
        if targets:
            await self.seek_wait(targets)

    async def perform_seek(self) -> None:
        """To the owner's positions; for other topics to the committed offsets. The only place that decides where to
        read.
        """
        await super().perform_seek()
        self._wipe()
        assigned = self.assignment()
        targets = {tp: offset for tp, offset in self.owner.positions().items() if tp in assigned}
        for tp in targets:
            self._committed_offset[tp] = (
                None  # else acks below the group's offset are dropped, and commits stall (C:845)
            )
        if targets:
            await self.seek_wait(targets)
        self._expected.update(targets)
        for tp, offset in targets.items():
            self._passed[tp] = offset, offset

    def _wipe(self) -> None:
        self._ledger.clear()
        self._expected.clear()
        self._acked.clear()
        self._acked_index.clear()
        self._passed.clear()
        self.gaps.forget()
        self._told.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """The last commit comes before the ledger is wiped (stock wipes first, C:657: its last commit is empty)."""
        self.stop_flow()
        self.app.flow_control.suspend()
        with no_silent_end(self.owner.die, "giving partitions up"):
            await self.owner.on_revoke(revoked)
        await super().on_partitions_revoked(revoked)
        self._wipe()

    async def on_stop(self) -> None:
        """Stock leaves its last commit out while another one is under way, which may say less."""
        await self.maybe_wait_for_commit_to_finish()
        await super().on_stop()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Stock commits where something was acked since the last time. What an owner deals with is acked before it is
        published, so its offsets are committed whenever they are others than the group's.
        """
        done: bool = await super().force_commit(topics, start_new_transaction)
        news = {tp: offset for tp, offset in self._group_offsets().items() if self._told.get(tp) != offset}
        if news and await self._commit(news):
            self._told.update(news)
            done = True
        return done

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """By acks alone only what no owner deals with. The group's offset is for lag only: an owner goes on where the
        log says.
        """
        assigned = self.assignment()
        acked = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        others = {tp: offset for tp, offset in acked.items() if tp.topic not in self.owner.topics}
        done = bool(others) and await self._commit(others)
        self._committed_offset.update(acked)
        return done


class Producer(driver.Producer):  # type: ignore[misc]
    """Stock; the worker publishes with a producer of its own, whose every future it awaits."""


class Transport(driver.Transport):  # type: ignore[misc]
    """The driver for ``alphawire://``."""

    Consumer = Consumer
    Producer = Producer
