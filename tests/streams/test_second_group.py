"""A second consumer group on the same topics: nothing is published twice, and it is told who works there already."""

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from alphawire.commands.research.verify import describe
from backtest.replay.logged_cross_sections import gathered
from backtest.replay.stretches import Stretch
from backtest.verify.cross_sections import _Bars, _predictions
from backtest.verify.verdict import REPEATED, VerifyResult, compare
from backtest.verify.verify import verify
from plugins.pipeline.cross_sections.deciding import Deciders
from schemas.configuration import Config, Kafka, load_config
from schemas.errors import ConfigurationError
from schemas.wire import Applied, Origin
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.clients import open_consumer, open_producer
from streams.kafka.partitioner import PartitionerChange
from streams.kafka.topics import create_topics, topic_name
from streams.process.exits import Exit
from streams.publishing.transactions import TransactionalWriterFactory
from streams.publishing.writer import Record
from streams.recovery.conditions import Conditions
from streams.requests.groups import _reads, check_group, check_scorers
from streams.scorer.service import consumer_options
from tests.backtest.test_verify import signals as replayed_signals
from tests.support.deadlines import deadline
from tests.support.gathered import predictions
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, strategy, wait_for, write_config

BARS = minute_bars(120)
OTHER = {"signal": {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}}


def copied(file: Path, group: str, **kafka: Any) -> Path:
    """A copy of the configuration with another group, and another threshold."""
    settings = yaml.safe_load(file.read_text())
    settings["kafka"] |= {"group": group} | kafka
    settings["strategies"]["demo"] |= OTHER
    copy = file.with_name(f"{group}.yaml")
    copy.write_text(yaml.safe_dump(settings))
    return copy


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_it_is_refused_while_the_first_one_runs(kafka: ApacheKafkaBroker, tmp_path: Path, delivery: str) -> None:
    file = tmp_path / "first.yaml"
    write_config(file, kafka.bootstrap, f"second-{delivery}.", {"demo": strategy()})
    file = copied(file, "first", delivery=delivery)
    config = load_config(file)
    second = copied(file, "second", delivery=delivery)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, BARS.iloc[:60]))
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or signals() == 60)
        with WorkerProcess(second) as other:
            assert other.process.wait(deadline(60)) == Exit.CONFIGURATION
        said = second.with_suffix(".log").read_text()
        assert f"the group first works on second-{delivery}.bars: 1 of its workers are running" in said
        asyncio.run(produce_bars(config.kafka, BARS.iloc[60:90]))
        wait_for(lambda: worker.process.poll() is not None or signals() == 90)
        assert worker.stop() == 0
    # nobody works there any more: the other one goes on where the first one stopped
    asyncio.run(produce_bars(config.kafka, BARS.iloc[90:]))
    with WorkerProcess(second) as worker:
        wait_for(lambda: worker.process.poll() is not None or signals() == len(BARS))
        assert worker.stop() == 0
    assert "the group first worked on" in second.with_suffix(".log").read_text()
    verdict = verify(load_config(second), "demo")
    assert (verdict.ok, verdict.equal, verdict.repeats) == (True, len(BARS), 0), verdict.differences[:2]
    repeats_are_found(load_config(second), delivery)


def repeats_are_found(config: Config, delivery: str) -> None:
    """A signal that is there twice, with equal bytes."""
    record = records(config, "signals")[0]

    async def put() -> None:
        async with open_producer(config.kafka) as producer:
            await producer.send_and_wait(topic_name(config.kafka, "signals"), record.value, b"?", record.partition)

    asyncio.run(put())
    verdict = verify(config, "demo")
    assert (verdict.ok, verdict.repeats) == (delivery == "at_least_once", 1)
    if not verdict.ok:
        assert [difference.kind for difference in verdict.differences] == [REPEATED]
        assert "does a second consumer group work on these topics?" in describe(verdict)


def test_whoever_comes_later_shuts_the_first_one_out(kafka: ApacheKafkaBroker, kafka_config: Any) -> None:
    """Even where both have started at once, so that neither saw the other."""
    first = kafka_config(kafka, partitions=1)
    second = first.model_copy(update={"group": "another"})

    async def run() -> None:
        await create_topics(first)
        bars, value = topic_name(first, "bars"), [Record(topic_name(first, "signals"), b"A", b"1")]
        factories = [TransactionalWriterFactory(each, bars) for each in (first, second)]
        writers = [await factory.open(0) for factory in factories]
        with pytest.raises((ProducerFenced, InvalidProducerEpoch)):
            await writers[0].write(0, value)
        await writers[1].write(0, value)
        for factory, writer in zip(factories, writers, strict=True):
            await factory.close(writer)

    asyncio.run(run())


def test_scorers_of_a_second_group_are_refused_by_name(kafka: ApacheKafkaBroker, kafka_config: Any) -> None:
    """While those of the first run; who reads another prefix's news, or is no scorer, is no matter."""
    first = kafka_config(kafka, partitions=1).model_copy(update={"group": "desk"})
    second, news = first.model_copy(update={"group": "copy"}), topic_name(first, "news")

    @contextlib.asynccontextmanager
    async def reader(group: str, topic: str) -> AsyncIterator[None]:
        async with open_consumer(first, **consumer_options(Config(kafka=first)) | {"group_id": group}) as consumer:
            consumer.subscribe([topic])
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
            yield

    async def run() -> None:
        await create_topics(first)
        async with reader("other-scorer", topic_name(first, "bars")), reader("sink", news):
            await check_scorers(second)
        async with reader(consumer_options(Config(kafka=first))["group_id"], news):
            await check_scorers(first)
            with pytest.raises(ConfigurationError, match=rf"desk-scorer scores {news}: 1 of .* kafka.group: desk,"):
                await check_scorers(second)
        await check_scorers(second)

    asyncio.run(run())


@pytest.mark.parametrize(("topics", "counts"), [(["x.bars", "x.control"], True), (["y.bars", "y.control"], False)])
def test_workers_of_a_group_count_by_the_topics_that_they_read(topics: list[str], counts: bool) -> None:
    """One group may have workers on the topics of several prefixes."""
    assert _reads(ConsumerProtocolMemberMetadata(2, topics, b"").encode(), "x.bars") is counts
    assert _reads(b"", "x.bars")


def test_a_broker_that_cannot_tell_is_no_reason_to_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Tansu shows members for ever. No broker is asked here: there is none."""
    nowhere = Kafka(bootstrap="127.0.0.1:9", group="second")
    with caplog.at_level(logging.INFO):
        asyncio.run(check_group(nowhere, None, tells_members=True))
        asyncio.run(check_group(nowhere, "second", tells_members=True))
        assert caplog.text == ""
        asyncio.run(check_group(nowhere, "first", tells_members=False))
    assert "the group first worked on bars until now" in caplog.text


@pytest.mark.parametrize(("once_from", "found"), [(None, []), (0, [1, 4]), (3, [4]), (5, [])])
def test_repeats_count_from_where_exactly_once_was_promised(once_from: int | None, found: list[int]) -> None:
    replayed, verdict = replayed_signals(6), VerifyResult("demo")
    compare(verdict, [*replayed, replayed[1], replayed[4]], replayed, lambda _: True, once_from)
    assert [(d.kind, d.offset) for d in verdict.differences] == [(REPEATED, offset) for offset in found]
    assert verdict.repeats == 2
    assert verdict.ok == (not found)


def test_exactly_once_is_promised_for_what_was_published_with_transactions_alone() -> None:
    """By hand: on from the beginning; from the log's end on, where repeats may lie before it; not at all; and again."""
    entry = Applied("one", "bars", 0, 0, Origin(0, 0), 0, "x", {})
    places, known, found = [PartitionerChange(0, "murmur2")], None, []
    for exactly_once, end in ((True, 50), (True, 60), (False, 70), (False, 80), (True, 90), (True, 95)):
        known = Conditions("g", places, exactly_once, end).said_in(known or entry, known)
        found.append(known.exactly_once_from)
    assert found == [0, 0, None, None, 90, 90]


@pytest.mark.parametrize(("once_from", "found"), [(None, 0), (0, 2), (10_000, 0)])
def test_predictions_of_cross_sections_count_alike(once_from: int | None, found: int) -> None:
    made = predictions(random.Random(3), 20)
    once = list({(one.symbol, one.time): one for one in made}.values())
    partition = once[0].provenance.partition
    mine = [one for one in once if one.provenance.partition == partition]
    entry = Applied("ranked", "bars", partition, 0, Origin(partition, 0), 0, "x", {}, exactly_once_from=once_from)
    past = {number: [Stretch(0, sys.maxsize, entry, None)] for number in (0, 1)}
    of_log = gathered(enumerate([*once, mine[1], mine[4]]), once, Deciders())
    differences = _predictions(of_log, _Bars(once, past), {0: 0, 1: 0})
    assert [difference.symbol for difference in differences] == [mine[1].symbol, mine[4].symbol][:found]
