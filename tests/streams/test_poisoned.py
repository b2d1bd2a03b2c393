"""Records made to do harm, on every topic that a worker reads: none stops it, none is lost, all others are worked on.

`test_bad_input` has the mistakes; here is malice: sizes, depth, bytes that the client library itself cannot read.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.record.util import calc_crc32c

from schemas.configuration import Config
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_admin, open_producer
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import MAX_DEAD_LETTER
from tests.support.live import WorkerProcess, records, strategy, wait_for, write_config
from tests.support.memory import bar

pytestmark = [pytest.mark.broker, pytest.mark.slow]

MEGABYTE = 1 << 20
LARGE = 10 * MEGABYTE
DEEP = 100_000
PARTITION = 0
SYMBOL = "A"
GOOD = 40


def good(minute: int) -> bytes:
    return json.dumps(bar(SYMBOL, minute, 100.0 + minute)).encode()


def changed(old: str, new: str) -> bytes:
    text = good(1).decode()
    assert old in text
    return text.replace(old, new).encode()


POISONED: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "100,000 lists deep": (b"[" * DEEP, b"A", "too_large"),
    "30,000 lists deep": (changed('"volume": 100.0', '"volume": ' + "[" * 30_000 + "]" * 30_000), b"A", "invalid"),
    "an unknown field, deep": (
        changed('"volume"', '"x": ' + '{"a":' * 9_000 + "1" + "}" * 9_000 + ', "volume"'), b"A", "invalid",
    ),
    "10 MB of a string": (changed('"1m"', '"' + "m" * LARGE + '"'), b"A", "too_large"),
    "10 MB of nothing": (b"\x00" * LARGE, b"A", "too_large"),
    "a key of 2 MB": (good(1), b"K" * (2 * MEGABYTE), "wrong_key"),
    "a large key and a large value": (b"V" * MEGABYTE, b"K" * MEGABYTE, "too_large"),
    "1e400": (changed("100.0", "1e400"), b"A", "invalid"),
    "an integer of 5,000 digits": (changed("100.0", "9" * 5000), b"A", "invalid"),
    "a time of 5,000 digits": (changed('"open_time": 1', '"open_time": ' + "9" * 5000), b"A", "invalid"),
    "NaN": (changed("100.0", "NaN"), b"A", "undecodable"),
    "-Infinity": (changed("100.0", "-Infinity"), b"A", "undecodable"),
    "half a surrogate pair": (changed('"A"', '"\\ud800"'), b"A", "undecodable"),
    "a surrogate in UTF-8": (good(1).replace(b'"A"', b'"\xed\xa0\x80"'), b"\xed\xa0\x80", "undecodable"),
    "NUL in a symbol": (changed('"A"', '"A\\u0000"'), b"A\x00", "invalid"),
    "a symbol of 60 KB": (changed('"A"', '"' + "A" * 60_000 + '"'), b"A", "invalid"),
}  # fmt: skip
STATE_POISON = [
    b'{"kind":"marker","x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"kind":"snapshot","owner":"\xff\xfe"}',
    b'{"kind":"roster","counts":' + b'{"a":' * DEEP + b"}",
    b'{"kind":"' + b"m" * LARGE + b'"}',
    b"\x00\xff",
    b"[]",
    b"",
]
CONTROL_POISON = [
    b'{"kind":"applied","strategy":"demo","config":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    b'{"kind":"applied","strategy":"\xff"}',
    b'{"kind":"applied","offset":1e400}',
    b"null",
]
REQUEST_POISON = {
    "deep": (b'{"id":"1","x":' + b"[" * 1000 + b"]" * 1000 + b"}", "undecodable"),
    "no UTF-8": (b'{"id":"\xff"}', "undecodable"),
    "800 KB": (b'{"id":"' + b"i" * 800_000 + b'"}', "too_large"),
    "a number": (b'{"id":1e400}', "invalid"),
    "no id": (b'{"id":""}', "invalid"),
}


class Hostile:
    """Builds a batch whose header's name is no UTF-8, with the right checksum."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def build(self) -> bytearray:
        data = bytearray(self._builder.build())
        place = data.index(b"NAME")
        data[place : place + 4] = b"\xff\xfe\xc0\x80"
        data[17:21] = calc_crc32c(data[21:]).to_bytes(4, "big")
        return data


async def send_hostile_header(producer: Any, topic: str, value: bytes, key: bytes) -> Any:
    batch = producer.create_batch()
    assert batch.append(timestamp=1, key=key, value=value, headers=[("fine", b"1"), ("NAME", b"x"), ("n", None)])
    batch.close()
    batch._builder = Hostile(batch._builder)
    return await (await producer.send_batch(batch, topic, partition=PARTITION))


@dataclass
class Run:
    config: Config
    sent: dict[str, int] = field(default_factory=dict)
    log: str = ""
    letters: list[Any] = field(default_factory=list)


async def send(run: Run) -> None:
    kafka = run.config.kafka
    await create_large(run.config)
    await create_topics(kafka)
    async with open_producer(kafka, max_request_size=32 * MEGABYTE) as producer:
        put = partial(producer.send_and_wait, topic_name(kafka, "bars"), partition=PARTITION)
        minute = 0
        for name, (value, key, _) in POISONED.items():
            run.sent[name] = (await put(value, key)).offset
            await put(good(minute := minute + 1), SYMBOL.encode())
        await send_hostile_header(producer, topic_name(kafka, "bars"), good(minute := minute + 1), SYMBOL.encode())
        await put(good(minute := minute + 1), SYMBOL.encode(), headers=[("h" * 100_000, b"v" * 5 * MEGABYTE)])
        while minute < GOOD:
            await put(good(minute := minute + 1), SYMBOL.encode())
        for topic, poison in (("state", STATE_POISON), ("control", CONTROL_POISON)):
            for value in poison:
                await producer.send_and_wait(topic_name(kafka, topic), value, b"demo/A", PARTITION)
            await send_hostile_header(producer, topic_name(kafka, topic), b"{}", b"k")
        for value in (b'{"category":' + b"[" * DEEP, b"\xff", b'{"key":"\xff"}', b"{}"):
            await producer.send_and_wait(topic_name(kafka, "plugins"), value, b"features/\xff../../x", 0)
        for value, _ in REQUEST_POISON.values():
            await producer.send_and_wait(topic_name(kafka, "plugins.requests"), value, b"me", 0)
        await producer.send_and_wait(
            topic_name(kafka, "plugins.requests"), b'{"id": "ok", "key": "technical.rsi"}', None, 0
        )


async def create_large(config: Config) -> None:
    """Topics as an operator may have made them, for records up to 16 MB."""
    from aiokafka.admin import NewTopic

    settings = {"max.message.bytes": str(16 * MEGABYTE), "message.timestamp.before.max.ms": str(2**63 - 1)}
    settings |= {"retention.ms": "-1", "cleanup.policy": "delete"}
    others = {"state": {"cleanup.policy": "compact"}}
    async with open_admin(config.kafka) as admin:
        await admin.create_topics(
            [
                NewTopic(
                    topic_name(config.kafka, name), config.kafka.partitions, 1,
                    topic_configs=settings | others.get(name, {}),
                )
                for name in ("bars", "state", "control")
            ]
        )  # fmt: skip


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    broker: Broker = request.getfixturevalue(request.param)
    folder: Path = tmp_path_factory.mktemp(f"poisoned-{request.param}")
    file = folder / "alphawire.yaml"
    demo = strategy(features=["technical.rsi"], prediction="rsi")
    run = Run(write_config(file, broker.bootstrap, f"poisoned-{request.param}.", {"demo": demo}))
    asyncio.run(send(run))
    wanted = len(POISONED) + len(REQUEST_POISON)
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or all_there(run.config, wanted), 120)
        assert worker.stop() == 0, file.with_suffix(".log").read_text()[-3000:]
    # and once more: all that poison is read again where a worker begins
    with WorkerProcess(file) as worker:
        wait_for(worker.ready)
        assert worker.stop() == 0
    run.log = file.with_suffix(".log").read_text()
    run.letters = records(run.config, "dead-letters")
    assert {path.name for path in folder.iterdir()} == {"alphawire.yaml", "alphawire.log"}
    return run


def all_there(config: Config, letters: int) -> bool:
    return (
        len(records(config, "signals")) >= GOOD
        and len(records(config, "dead-letters")) >= letters
        and len(records(config, "plugins.replies")) >= 1
    )


def test_every_good_bar_has_its_signal(run: Run) -> None:
    signals = [json.loads(record.value)["content"] for record in records(run.config, "signals")]
    assert [signal["time"] for signal in signals] == [
        bar(SYMBOL, minute, 1.0)["close_time"] for minute in range(1, GOOD + 1)
    ]
    assert "Traceback" not in run.log


@pytest.mark.parametrize("name", POISONED)
def test_each_poisoned_bar_is_a_letter(run: Run, name: str) -> None:
    value, key, error = POISONED[name]
    assert value is not None
    assert key is not None
    letters = [
        letter for letter in of_topic(run, "bars") if dict(letter.headers)["offset"] == str(run.sent[name]).encode()
    ]
    (letter,) = letters
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers["error"] == error
    assert headers["partition"] == str(PARTITION)
    assert len(headers["reason"]) <= 1000
    assert letter.value == value[:MAX_DEAD_LETTER]
    assert letter.key == key[:MAX_DEAD_LETTER]
    if len(value) > MAX_DEAD_LETTER:
        assert headers["truncated"] == str(len(value))
        assert headers["sha256"] == hashlib.sha256(value).hexdigest()
    assert headers.get("key-truncated") == (str(len(key)) if len(key) > MAX_DEAD_LETTER else None)


def of_topic(run: Run, name: str) -> list[Any]:
    topic = topic_name(run.config.kafka, name).encode()
    return [letter for letter in run.letters if dict(letter.headers)["topic"] == topic]


def test_each_poisoned_request_is_a_letter_and_the_good_one_is_answered(run: Run) -> None:
    letters = of_topic(run, "plugins.requests")
    assert [dict(letter.headers)["error"].decode() for letter in letters] == [
        error for _, error in REQUEST_POISON.values()
    ]
    (reply,) = records(run.config, "plugins.replies")
    assert json.loads(reply.value)["id"] == "ok"


def test_foreign_records_on_state_are_told(run: Run) -> None:
    assert run.log.count("a foreign record on the state topic is ignored") >= len(STATE_POISON)
