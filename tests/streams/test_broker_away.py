"""What a service says of a broker that is away, or that refuses what is written: once, and with the mend."""

import asyncio
import contextlib
import logging
import os
import random
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from schemas.wire.control import Pause
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_admin, open_producer
from streams.kafka.topics import create_topics
from streams.kafka.topics.status import TopicsWatch
from streams.process.exits import Exit, cause, of_crash
from streams.process.logs import QUIET, Repetitions
from streams.publishing.transactions import TransactionalWriterFactory
from streams.publishing.writer import PRODUCER, Record, Writer
from streams.requests.control_topic import send_by
from tests.streams.test_health import page
from tests.streams.test_topic_settings import alter
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, minute_bars, topics_and_bars, wait_for, write_config

MakeConfig = Callable[..., Kafka]

# --- writes that a setting refuses -----------------------------------------------------------------------------------


async def strict_topic(kafka: Kafka, name: str, **settings: str) -> str:
    """A topic that takes little."""
    configs = {key.replace("_", "."): value for key, value in settings.items()}
    async with open_admin(kafka) as admin:
        await admin.create_topics([NewTopic(topic := f"{kafka.prefix}{name}", 1, 1, topic_configs=configs)])
    return topic


@contextlib.asynccontextmanager
async def writers(kafka: Kafka) -> AsyncIterator[list[Writer]]:
    """At least once, and exactly once."""
    async with open_producer(kafka, **PRODUCER) as producer:
        factory = TransactionalWriterFactory(kafka, "any")
        transactional = await factory.open(0)
        yield [Writer(producer), transactional]
        await factory.close(transactional)


@pytest.mark.parametrize(
    ("settings", "record", "setting"),
    [
        ({"max_message_bytes": "2000"}, {"value": random.Random(1).randbytes(5000)}, "max.message.bytes"),
        ({"message_timestamp_before_max_ms": "9"}, {"value": b"x", "timestamp": 1}, "timestamp.before.max.ms"),
        ({"message_timestamp_after_max_ms": "9"}, {"value": b"x", "timestamp": 2**42}, "timestamp.after.max.ms"),
    ],
)  # fmt: skip
def test_a_refused_write_names_topic_and_setting(
    kafka: ApacheKafkaBroker, kafka_config: MakeConfig, settings: dict[str, str], record: dict[str, Any], setting: str
) -> None:
    config = kafka_config(kafka)

    async def run() -> list[str]:
        topic, said = await strict_topic(config, "strict", **settings), []
        async with writers(config) as both:
            for writer in both:
                with pytest.raises(ConfigurationError) as refused:
                    await writer.write(0, [Record(topic, b"k", **record)])
                assert (cause(refused.value), of_crash(refused.value)) == (Exit.CONFIGURATION,) * 2
                said.append(str(refused.value))
        return said

    for line in asyncio.run(run()):
        assert line.startswith(f"the broker refuses what is written to topic {config.prefix}strict: ")
        assert setting in line


def test_commands_name_them_too(kafka: ApacheKafkaBroker, kafka_config: MakeConfig) -> None:
    """`produce` and control requests."""
    config = kafka_config(kafka, partitions=1)

    async def run() -> None:
        await create_topics(config)
        async with open_producer(config, max_request_size=50) as producer:
            with pytest.raises(ConfigurationError, match=r"control: .*max\.message\.bytes"):
                await send_by(producer, config, Pause("a" * 32, "demo"))

    asyncio.run(run())
    alter(config, "bars", max_message_bytes="200")

    def refused() -> str:
        try:
            asyncio.run(produce_bars(config, minute_bars(50)))
        except ConfigurationError as error:
            return str(error)
        return ""

    # the broker has noted the setting before it goes by it
    assert re.search(r"bars: .*max\.message\.bytes", wait_for(refused, 30))


def test_a_worker_ends_with_the_code_of_a_mistake(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """A limit that was lowered while it runs: a restart would not help, so it is not code 10."""
    file = tmp_path / "lowered.yaml"
    config = write_config(file, kafka.bootstrap, "lowered.")
    topics_and_bars(config, minute_bars(50))
    with WorkerProcess(file) as worker:
        wait_for(worker.ready)
        alter(config.kafka, "signals", max_message_bytes="300", retention_ms="-1")
        asyncio.run(produce_bars(config.kafka, minute_bars(100).iloc[50:]))
        assert worker.process.wait(deadline(60)) == 2
    last = file.with_suffix(".log").read_text().splitlines()[-1]
    assert "(configuration, exit code 2)" in last
    assert "topic lowered.signals: a record or batch is too large; raise max.message.bytes" in last


# --- a broker that is away -------------------------------------------------------------------------------------------


def lags(status: dict[str, Any]) -> set[int | None]:
    return {at["lag"] for at in status["partitions"].values()}


def test_not_ready_while_the_broker_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "gone.yaml"
    with TansuBroker() as broker:
        config = write_config(file, broker.bootstrap, "gone.", http=True, http_port=free_port())
        topics_and_bars(config, minute_bars(50))
        with WorkerProcess(file) as worker:
            wait_for(lambda: page(config, "/health/ready")[0] == 200)
            wait_for(lambda: (status := page(config, "/status")[1]) and lags(status) == {0})
            broker.stop()
            _, answer = wait_for(lambda: (seen := page(config, "/health/ready"))[0] == 503 and seen, 60)
            assert worker.process.poll() is None
            assert page(config, "/health/live")[0] == 200
    assert set(answer["failed"]) >= {"broker"}
    assert broker.bootstrap in answer["failed"]["broker"]
    errors = [line for line in file.with_suffix(".log").read_text().splitlines() if " ERROR " in line]
    assert len([line for line in errors if "the broker is away" in line]) == 1
    # each thing that aiokafka has to say is said once: it was a hundred times a second
    assert len(errors) < 20


def test_away_and_back_is_one_line_each(kafka_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    """A broker that forgets its topics when it is killed: it answers again, and is still of no use."""
    caplog.set_level(logging.WARNING, "alphawire.topics")

    async def run(broker: TansuBroker, kafka: Kafka) -> list[dict[str, str]]:
        seen = []

        async def until(word: str) -> None:
            async with asyncio.timeout(deadline(30)):
                while word not in str(topics.unready()):
                    await asyncio.sleep(0.01)
            seen.append(topics.unready())

        await create_topics(kafka)
        topics = TopicsWatch(kafka)
        await topics.require()
        watching = asyncio.ensure_future(topics.watch(every=0.05))
        assert topics.unready() == {}
        broker.kill()
        await until(broker.bootstrap)
        await asyncio.to_thread(broker.start)
        await until("has no topic")
        await create_topics(kafka)
        await until("{}")
        watching.cancel()
        return seen

    with TansuBroker() as broker:
        seen = asyncio.run(run(broker, kafka_config(broker)))
    assert [set(conditions) for conditions in seen] == [{"broker"}, {"broker"}, set()]
    away, back = (record.getMessage() for record in caplog.records)
    assert away.startswith("the broker is away: ")
    assert back.startswith("the broker is back after ")


def test_one_that_takes_connections_and_is_silent(kafka_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped in its tracks: connections are taken, nothing is answered."""
    monkeypatch.setattr("streams.kafka.clients.CONNECT_TIMEOUT", 0.3)

    async def run(broker: TansuBroker, kafka: Kafka) -> None:
        await create_topics(kafka)
        topics = TopicsWatch(kafka)
        watching = asyncio.ensure_future(topics.watch(every=0.05))
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(deadline(30)):
                while not topics.unready():
                    await asyncio.sleep(0.01)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
            watching.cancel()

    with TansuBroker() as broker:
        asyncio.run(run(broker, kafka_config(broker)))


# --- what the client libraries say again and again -------------------------------------------------------------------


def said(name: str, level: int, message: str, at: float, *args: object) -> logging.LogRecord:
    record = logging.LogRecord(name, level, __file__, 1, message, args, None)
    record.created = at
    return record


def test_a_library_says_a_thing_once_in_a_while() -> None:
    once, fetcher = Repetitions(), "aiokafka.consumer.fetcher"
    first = [once.filter(said(fetcher, logging.ERROR, "Failed fetch from %s", 100.0 + i / 100, i)) for i in range(500)]
    assert (first[0], sum(first)) == (True, 1)
    assert once.filter(said(fetcher, logging.ERROR, "Another thing", 101.0))
    assert once.filter(said("aiokafka", logging.ERROR, "Failed fetch from %s", 101.0, 7)), "another logger's"
    later = said(fetcher, logging.ERROR, "Failed fetch from %s", 100.0 + QUIET, 8)
    assert once.filter(later)
    assert later.getMessage() == "Failed fetch from 8 (and 499 more times before)"
    assert not once.filter(said(fetcher, logging.ERROR, "Failed fetch from %s", 101.0 + QUIET, 8))


def test_what_is_ours_or_fatal_is_always_said() -> None:
    once = Repetitions()
    ours = [said("alphawire.worker", logging.ERROR, "a strategy failed", 100.0) for _ in range(3)]
    fatal = [said("faust.app", logging.CRITICAL, "it crashed", 100.0) for _ in range(3)]
    assert all(map(once.filter, ours + fatal))


def test_few_things_are_remembered() -> None:
    once = Repetitions()
    for number in range(10_000):
        assert once.filter(said("mode.x", logging.ERROR, "thing " + "x" * number, 100.0))
    assert len(once._seen) <= 256
