"""The mistakes that are easily made here, each put back on purpose from outside; the product holds none of this.

Each must turn the suite red. Some are given more time to do harm than they would have by themselves; the text says so.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from plugins.pipeline.strategy_run import RunSettings
from streams.consuming import intake as intakes
from streams.consuming import transport
from streams.kafka.clients import offset_range
from streams.kafka.log import KafkaLog
from streams.kafka.topics import topic_name
from streams.owners import bars_owner, bars_partition, cross_section_owner, cross_section_partition, publisher
from streams.publishing import pending_output, transactions
from streams.publishing import writer as outlet
from streams.publishing.pending_output import Progress
from streams.publishing.writer import Output, Record
from streams.recovery import conditions, resume_planner
from streams.recovery import plan as planning
from streams.recovery.state import StoredState
from streams.requests import control_requests
from streams.service import service

Patch = Callable[[Any, str, Any], None]
WIDENED = 4.0
"""Seconds between two steps in the wrong order."""
DEADLINE = 0.4
AWAITS = b"mutant: waits for a commit of the former owner"


@dataclass(frozen=True)
class Mutation:
    """One mistake; `mutate(patch)` makes it, `patch` being like `setattr`."""

    mistake: str
    mutate: Callable[[Patch], None]

    def apply(self) -> None:
        self.mutate(setattr)


def marker_before_signals(
    patch: Patch, publishing: type[publisher.PartitionPublisher[Any]] = publisher.BarsPublisher
) -> None:
    async def publish(self: Any) -> None:
        part = self.part
        records, reached = part.take(publisher.WRITE_RECORDS, self.writer.transactional)
        if part.advances(reached):
            await self.writer.write(part.number, [part.marker_record(reached)])
            part.note_marker(reached)
        if records:
            await self.writer.write(part.number, records)
        part.reached = reached

    patch(publishing, "_publish", publish)


def ack_ahead_of_open_chunk(
    patch: Patch, part: type[pending_output.PendingOutput] = bars_partition.BarsPartition
) -> None:
    original = part.take

    def take(self: pending_output.PendingOutput, _limit: int, _together: bool = False) -> tuple[list[Output], Progress]:
        records, _ = original(self, 5)
        return records, self._now()

    patch(part, "take", take)


def publish_while_folding(patch: Patch) -> None:
    original = planning.run_settings

    def run_settings(*arguments: Any) -> dict[str, RunSettings]:
        planned = original(*arguments)
        return {name: replace(run, publish_from=run.origin_offset) for name, run in planned.items()}

    patch(bars_owner, "run_settings", run_settings)


def said_last_forgotten(patch: Patch) -> None:
    original = planning.run_settings

    def run_settings(*arguments: Any) -> dict[str, RunSettings]:
        planned = original(*arguments)
        return {name: replace(run, in_force_from=run.publish_from) for name, run in planned.items()}

    patch(bars_owner, "run_settings", run_settings)


def silence_is_not_dealt_with(patch: Patch) -> None:
    patch(StoredState, "dealt_with", lambda self, entry: self.beyond.get(entry.strategy, 0))


def stale_snapshot_used(patch: Patch) -> None:
    patch(planning._States, "_stale", lambda *_: False)


def snapshot_ahead_of_published(patch: Patch) -> None:
    async def snapshot(self: publisher.BarsPublisher) -> None:
        part = self.part
        capture = part.capture()
        snapshots = part.snapshot_records(capture)
        while records := list(islice(snapshots, publisher.ROUND_BATCH)):
            await self.writer.write(part.number, records)
        roster = part.roster_record(capture)
        await self.writer.write(part.number, [roster])
        part.complete(capture, roster)
        await self._mark()

    patch(publisher.BarsPublisher, "_snapshot", snapshot)


def round_named_before_it_is_whole(patch: Patch) -> None:
    async def snapshot(self: publisher.BarsPublisher) -> None:
        part = self.part
        capture = part.capture()
        while not part.acknowledged(capture.offset):
            await self._publish()
        roster = part.roster_record(capture)
        part.complete(capture, roster)
        await self._mark()
        await self.writer.write(part.number, [*part.snapshot_records(capture), roster])

    patch(publisher.BarsPublisher, "_snapshot", snapshot)


def marker_covers_those_behind(patch: Patch) -> None:
    original = bars_partition.BarsPartition.marker_record

    def marker_record(self: bars_partition.BarsPartition, reached: Progress) -> Record:
        return original(self, Progress(reached.position))

    patch(bars_partition.BarsPartition, "marker_record", marker_record)


def joined_too_early(patch: Patch) -> None:
    original = bars_partition.BarsPartition.feed_behind

    def feed_behind(self: bars_partition.BarsPartition, records: list[Any], following: int) -> None:
        self.plan.settled = 0
        original(self, records, following)

    patch(bars_partition.BarsPartition, "feed_behind", feed_behind)


def agent_raises(patch: Patch) -> None:
    original = bars_partition.BarsPartition.feed

    def feed(self: bars_partition.BarsPartition, chunk: transport.Chunk) -> None:
        if chunk.next % 7 == 0:  # it raised, and Faust acks the chunk all the same
            self.position = max(self.position, chunk.next)
            self._put([])
        else:
            original(self, chunk)

    patch(bars_partition.BarsPartition, "feed", feed)


def new_configuration_keeps_the_state(patch: Patch) -> None:
    patch(planning, "keeps_state", lambda *_: True)


def applied_with_its_first_signals(patch: Patch) -> None:
    original = bars_partition.BarsPartition._put

    def put(self: bars_partition.BarsPartition, records: list[Output], apart: bool = False) -> None:
        original(self, records)

    patch(bars_partition.BarsPartition, "_put", put)


def applied_with_signals_before_it(patch: Patch) -> None:
    """One write holds what must be on the log first, and then what says that it is."""
    original = bars_partition.BarsPartition.take

    def take(self: bars_partition.BarsPartition, limit: int, together: bool = False) -> tuple[list[Output], Progress]:
        records, reached = original(self, limit, together)
        if not together and self._output and self._output[0].apart:
            more, reached = original(self, limit)
            records += more
        return records, reached

    patch(bars_partition.BarsPartition, "take", take)


def switches_without_applied(patch: Patch) -> None:
    def switch(self: bars_partition.BarsPartition, wanted: Any) -> None:
        wanted.carry_out(self.pipeline.runs[wanted.strategy], self.position)

    patch(bars_partition.BarsPartition, "_switch", switch)


def model_in_force_forgotten(patch: Patch) -> None:
    patch(control_requests.ControlRequests, "at_start", lambda self, name, _known: self._configured[name])


def partitioner_of_today(patch: Patch) -> None:
    def intake(self: bars_owner.BarsOwner, number: int, _plan: Any, bound: Any) -> Any:
        return intakes.Intake(number, self.partition_count, self.config.kafka.partitioner, bound)

    patch(bars_owner.BarsOwner, "_intake", intake)


def partitioner_from_the_marker(patch: Patch) -> None:
    patch(conditions, "_reached", lambda stored: stored.marker.offset if stored.marker else 0)


def no_transactions(patch: Patch) -> None:
    patch(service, "choose_writer_factory", lambda _kafka, writer, _has: outlet.SharedWriterFactory(writer))


def is_marker(record: Output) -> bool:
    return isinstance(record, Record) and (record.value or b"").startswith(b'{"kind":"marker"')


def commit_before_signals(patch: Patch) -> None:
    original = transactions.TransactionalWriter.write

    async def write(self: Any, number: int, records: Iterable[Output]) -> None:
        some = list(records)
        places = [is_marker(record) for record in some]
        markers = [record for record, there in zip(some, places, strict=True) if there]
        for part in (markers, [record for record, there in zip(some, places, strict=True) if not there]):
            if part:
                await original(self, number, part)

    patch(transactions.TransactionalWriter, "write", write)


def transactional_id_per_worker(patch: Patch) -> None:
    original = transactions.TransactionalWriterFactory.__init__

    def init(self: Any, kafka: Any, bars: str) -> None:
        original(self, kafka, f"{bars}-{os.getpid()}")

    patch(transactions.TransactionalWriterFactory, "__init__", init)


def load_before_fencing(patch: Patch) -> None:
    writers = transactions.TransactionalWriterFactory
    original_open, original_close = writers.open, writers.close

    async def end_of(factory: Any, number: int) -> int:
        name = topic_name(factory._kafka, "signals")
        return (await offset_range(factory._kafka, name, number, "read_committed"))[1]

    class Late:
        """Fences with its first write, and leaves the former owner time for one more commit before that."""

        transactional = True
        writer: Any = None

        def __init__(self, factory: Any, number: int, end: int) -> None:
            self._factory, self._number, self._end = factory, number, end

        async def write(self, number: int, records: Iterable[Output]) -> None:
            if self.writer is None:
                os.write(2, AWAITS + b"\n")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WIDENED):
                        while await end_of(self._factory, self._number) == self._end:
                            await asyncio.sleep(0.02)
                self.writer = await original_open(self._factory, self._number)
            await self.writer.write(number, records)

    async def open_late(self: Any, number: int, _track: str = "") -> Any:
        return Late(self, number, await end_of(self, number))

    async def close(self: Any, writer: Any) -> None:
        if writer.writer is not None:
            await original_close(self, writer.writer)

    patch(writers, "open", open_late)
    patch(writers, "close", close)


class UncommittedLog(KafkaLog):
    def records(self, *args: Any, **options: Any) -> Any:
        return super().records(*args, **options | {"isolation": "read_uncommitted"})


def load_uncommitted(patch: Patch) -> None:
    original = resume_planner.load

    async def load(log: KafkaLog, partition: int) -> Any:
        return await original(UncommittedLog(log.kafka), partition)

    patch(resume_planner, "load", load)


def seek_to_group_offset(patch: Patch) -> None:
    async def perform_seek(self: Any) -> None:
        await super(transport.Consumer, self).perform_seek()
        self._wipe()

    patch(transport.Consumer, "perform_seek", perform_seek)


def slow_hand_over(patch: Patch) -> None:
    original = transport.Consumer._wait_next_records

    async def wait(self: Any, timeout: float) -> Any:
        fetched = await original(self, timeout)
        if fetched[0]:
            await asyncio.sleep(WIDENED)
        return fetched

    patch(transport.Consumer, "_wait_next_records", wait)


def generation_after_fetch(patch: Patch) -> None:
    slow_hand_over(patch)

    async def getmany(self: Any, timeout: float) -> Any:
        records, _active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        for tp, batch in (records or {}).items():
            for chunk in self._slices(transport.ensure_TP(tp), batch, generation) if batch else ():
                self._expected[chunk.tp] = chunk.next
                self._ledger[chunk.tp].append((chunk.next - 1, chunk.next))
                yield chunk.tp, self._chunk_message(chunk)

    patch(transport.Consumer, "getmany", getmany)


def future_not_awaited(patch: Patch) -> None:
    async def write(self: Any, number: int, records: Iterable[Output]) -> None:
        for (topic, place), batch in self._batches(number, records):
            future = await self._producer.send_batch(batch, topic, partition=place)
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    patch(outlet.Writer, "write", write)


def goes_on_after_commit_timeout(patch: Patch) -> None:
    original = transactions.TransactionalWriter.write

    async def write(self: Any, number: int, records: Iterable[Output]) -> None:
        some = list(records)
        try:
            async with asyncio.timeout(DEADLINE):
                await original(self, number, some)
        except (TimeoutError, KafkaError):
            old = self._producer
            again = {"transactional_id": old._txn_manager.transactional_id, **outlet.PRODUCER}
            self._producer = AIOKafkaProducer(bootstrap_servers=old.client._bootstrap_servers, **again)
            await self._producer.start()
            await original(self, number, some)

    patch(transactions.TransactionalWriter, "write", write)


def gathered_marker_before_signals(patch: Patch) -> None:
    marker_before_signals(patch, cross_section_owner.CrossSectionPublisher)


def gathered_ack_ahead_of_open_chunk(patch: Patch) -> None:
    ack_ahead_of_open_chunk(patch, cross_section_partition.CrossSectionPartition)


def gathered_marker_ahead_of_published(patch: Patch) -> None:
    original = cross_section_partition.CrossSectionPartition.marker_record

    def marker_record(self: cross_section_partition.CrossSectionPartition, _reached: Progress) -> Record:
        return original(self, Progress(self.position))

    patch(cross_section_partition.CrossSectionPartition, "marker_record", marker_record)


def gathered_state_ahead_of_published(patch: Patch) -> None:
    async def snapshot(self: cross_section_owner.CrossSectionPublisher) -> None:
        await self.writer.write(self.part.number, self.part.state_records())

    patch(cross_section_owner.CrossSectionPublisher, "_snapshot", snapshot)


async def _hangs(_self: Any, _chunk: Any) -> None:
    await asyncio.Event().wait()


def feed_hangs(patch: Patch) -> None:
    patch(bars_owner.BarsOwner, "feed", _hangs)


def gathering_hangs(patch: Patch) -> None:
    patch(cross_section_owner.CrossSectionOwner, "feed", _hangs)


IN_MEMORY = {
    "marker_before_signals": Mutation("the marker is written before its signals are there", marker_before_signals),
    "ack_ahead_of_open_chunk": Mutation("the marker covers chunks that are not written yet", ack_ahead_of_open_chunk),
    "publish_while_folding": Mutation("what is folded silently is published", publish_while_folding),
    "said_last_forgotten": Mutation(
        "where changes are published, a new owner does not know what was said last", said_last_forgotten
    ),
    "silence_is_not_dealt_with": Mutation(
        "a change takes effect before bars that had nothing to say", silence_is_not_dealt_with
    ),
    "stale_snapshot_used": Mutation("a zombie's older snapshot is used", stale_snapshot_used),
    "snapshot_ahead_of_published": Mutation("a snapshot is written ahead of its signals", snapshot_ahead_of_published),
    "round_named_before_it_is_whole": Mutation(
        "the marker names a round before it is on the log", round_named_before_it_is_whole
    ),
    "marker_covers_those_behind": Mutation(
        "the marker covers strategies that are still catching up", marker_covers_those_behind
    ),
    "joined_too_early": Mutation("those behind join while states are ahead of the reading", joined_too_early),
    "agent_raises": Mutation("an agent raises, and its chunk counts as done", agent_raises),
    "new_configuration_keeps_the_state": Mutation(
        "other features go on with the old ones' state", new_configuration_keeps_the_state
    ),
    "applied_with_its_first_signals": Mutation(
        "what is applied is not on the log before its first signal", applied_with_its_first_signals
    ),
    "applied_with_signals_before_it": Mutation(
        "what is applied does not wait for the signals before it", applied_with_signals_before_it
    ),
    "switches_without_applied": Mutation("a model is exchanged without `applied`", switches_without_applied),
    "model_in_force_forgotten": Mutation(
        "a new owner goes on with the configured model, not the one in force", model_in_force_forgotten
    ),
    "partitioner_of_today": Mutation("a new partitioner judges what was published, too", partitioner_of_today),
    "partitioner_from_the_marker": Mutation(
        "a new partitioner holds from the marker on, though more is published", partitioner_from_the_marker
    ),
}  # fmt: skip
"""Found without a broker, by writes that break off anywhere."""

IN_GATHERING = {
    "gathered_marker_before_signals": Mutation(
        "gathering: the marker is written before its signals are there", gathered_marker_before_signals
    ),
    "gathered_ack_ahead_of_open_chunk": Mutation(
        "gathering: the marker covers chunks that are not written yet", gathered_ack_ahead_of_open_chunk
    ),
    "gathered_marker_ahead_of_published": Mutation(
        "gathering: the marker is ahead of what is published", gathered_marker_ahead_of_published
    ),
    "gathered_state_ahead_of_published": Mutation(
        "gathering: a state is written ahead of its signals", gathered_state_ahead_of_published
    ),
}  # fmt: skip
"""The same of the owner of a partition of predictions: most show at the write that comes after a marker or a state."""

ON_KAFKA = {
    "no_transactions": Mutation("signals and marker without a transaction", no_transactions),
    "commit_before_signals": Mutation("the marker is committed before the signals", commit_before_signals),
    "transactional_id_per_worker": Mutation("one transactional id per worker", transactional_id_per_worker),
    "load_before_fencing": Mutation("state is loaded before the former owner is fenced", load_before_fencing),
    "load_uncommitted": Mutation("state is loaded read_uncommitted", load_uncommitted),
    "seek_to_group_offset": Mutation("reading goes on at the group's offset, not the state's", seek_to_group_offset),
    "future_not_awaited": Mutation("a send's future is not awaited", future_not_awaited),
    "goes_on_after_commit_timeout": Mutation("goes on after a commit's timeout", goes_on_after_commit_timeout),
}
"""Found on Apache Kafka with real processes."""

OTHERS = {
    "generation_after_fetch": Mutation("the generation is taken after the fetch", generation_after_fetch),
    "slow_hand_over": Mutation("none: what is fetched is handed on late", slow_hand_over),
    "feed_hangs": Mutation("an agent hangs, and the worker goes on heartbeating", feed_hangs),
    "gathering_hangs": Mutation("the agent of predictions hangs, and that of bars goes on", gathering_hangs),
}
MUTATIONS = IN_MEMORY | IN_GATHERING | ON_KAFKA | OTHERS
