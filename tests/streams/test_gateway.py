"""Signals over HTTP: a gateway as a process, on both brokers, asked as clients ask."""

import asyncio
import http.client
import json
import runpy
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from schemas.configuration import Config, load_config
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer
from streams.kafka.topics import create_topics, topic_name
from streams.service.gateway import cursor
from streams.service.gateway.published import Published
from streams.service.gateway.tail import PartitionEnd
from tests.support.deadlines import deadline, limit
from tests.support.forked import Forked
from tests.support.live import records, wait_for
from tests.support.signal_records import signal_record

TOKEN = "a-token-of-more-than-sixteen"


def prepared(folder: Path, broker: Broker, name: str, **gateway: Any) -> tuple[Path, Config]:
    (folder / "token").write_text(TOKEN + "\n")
    sections = {
        "kafka": {"bootstrap": broker.bootstrap, "prefix": f"{name}.", "group": name, "partitions": 2},
        "gateway": {"http_port": free_port(), "token_file": str(folder / "token"), **gateway},
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(sections))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    return file, config


@contextmanager
def running(file: Path, config: Config) -> Iterator[Forked]:
    process = Forked("gateway", "-c", str(file), log=file.with_suffix(".log"))
    try:
        wait_for(lambda: ask(config, "/health/ready")[0] == 200 or process.poll() is not None, 60)
        yield process
    finally:
        process.kill()


def ask(config: Config, path: str, token: str | None = TOKEN, **parameters: Any) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{config.gateway.http_port}{path}?{urlencode(parameters)}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=deadline(20)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def publish(config: Config, numbers: range, aborted: bool = False, transactional: bool = False) -> None:
    """A signal a number, of two symbols, on both partitions."""

    async def send() -> None:
        topic = topic_name(config.kafka, "signals")
        options = {"transactional_id": f"{config.kafka.prefix}test"} if transactional else {}
        async with open_producer(config.kafka, **options) as producer:
            if transactional:
                await producer.begin_transaction()
            for number in numbers:
                value = signal_record("demo" if number % 3 else "other", "AB"[number % 2], number)
                await producer.send_and_wait(topic, value, b"k", partition=number % 2, timestamp_ms=60_000 * number)
            if transactional:
                await (producer.abort_transaction() if aborted else producer.commit_transaction())

    asyncio.run(send())


def minutes(signals: list[Any]) -> list[int]:
    return [signal["content"]["time"] // 60_000 for signal in signals]


class Stream:
    """A client of the stream."""

    def __init__(self, config: Config, last: str | None = None, **parameters: Any) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", config.gateway.http_port, timeout=deadline(30))
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Last-Event-ID": last} if last else {})
        self.connection.request("GET", f"/signals/stream?{urlencode(parameters)}", headers=headers)
        self.answer = self.connection.getresponse()
        self.last = ""

    def take(self, count: int) -> list[tuple[str, Any]]:
        """So many events: name and data."""
        events: list[tuple[str, Any]] = []
        event: dict[str, str] = {}
        while len(events) < count:
            line = self.answer.readline().decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            else:
                self.last = event.get("id", self.last)
                if "data" in event:
                    events.append((event["event"], json.loads(event["data"])))
                event = {}
        return events

    def close(self) -> None:
        self.connection.close()


def test_queries(tmp_path: Path, broker: Broker) -> None:
    file, config = prepared(tmp_path, broker, f"queries-{broker.kind}")
    publish(config, range(40))
    asyncio.run(_send_nonsense(config))
    with running(file, config):
        status, answer = ask(config, "/signals")
        assert (status, answer["next"]) == (200, None)
        assert sorted(minutes(answer["signals"])) == list(range(40))
        raw = {record.value for record in records(config, "signals")}
        assert {json.dumps(signal, separators=(",", ":")).encode() for signal in answer["signals"]} <= raw
        _, answer = ask(config, "/signals", strategy="other", symbol="A")
        assert minutes(answer["signals"]) == [n for n in range(0, 40, 2) if n % 3 == 0]
        _, answer = ask(config, "/signals", **{"from": 60_000 * 10, "to": 60_000 * 13})
        assert sorted(minutes(answer["signals"])) == [10, 11, 12]
        pages, after = [], {}
        while after is not None:
            _, answer = ask(config, "/signals", limit=7, **after)
            pages.append(minutes(answer["signals"]))
            after = {"after": answer["next"]} if answer["next"] else None
        assert max(map(len, pages)) == 7
        assert sorted(chain.from_iterable(pages)) == list(range(40))


async def _send_nonsense(config: Config) -> None:
    async with open_producer(config.kafka) as producer:
        await producer.send_and_wait(topic_name(config.kafka, "signals"), b"no signal", b"k", partition=0)


def test_a_stream_goes_on_where_it_was_left(tmp_path: Path, broker: Broker) -> None:
    """Also after the gateway was killed, and without what came before."""
    file, config = prepared(tmp_path, broker, f"stream-{broker.kind}")
    publish(config, range(10))
    with running(file, config):
        stream = Stream(config, strategy="demo")
        publish(config, range(10, 20))
        assert minutes([data for _, data in stream.take(7)]) != []
        stream.close()
        left = stream.last
        whole = Stream(config, **{"from": 0})
        assert sorted(minutes([data for _, data in whole.take(20)])) == list(range(20))
        whole.close()
    publish(config, range(20, 26))
    with running(file, config):
        again = Stream(config, left, strategy="demo")
        assert sorted(minutes([data for _, data in again.take(4)])) == [20, 22, 23, 25]
        publish(config, range(26, 28))
        assert sorted(minutes([data for _, data in again.take(1)])) == [26]
        again.close()


def test_what_is_not_committed_is_never_sent(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    file, config = prepared(tmp_path, kafka, "committed")
    with running(file, config):
        stream = Stream(config)
        publish(config, range(4), transactional=True, aborted=True)
        publish(config, range(4, 8), transactional=True)
        assert sorted(minutes([data for _, data in stream.take(4)])) == [4, 5, 6, 7]
        stream.close()
        assert sorted(minutes(ask(config, "/signals")[1]["signals"])) == [4, 5, 6, 7]


def test_what_is_refused(tmp_path: Path, tansu: TansuBroker) -> None:
    file, config = prepared(tmp_path, tansu, "refused", clients=2)
    publish(config, range(4))
    with running(file, config):
        for token in (None, "wrong", ""):
            assert ask(config, "/signals", token)[0] == 401
        assert ask(config, "/health/live", None)[0] == 200
        for parameters in (
            {"limit": 0}, {"limit": "ten"}, {"from": "-1"}, {"to": "2024-01-01"}, {"symbols": "A"}, {"after": "0-1"},
            {"after": "7:1"}, {"limit": 10**30},
        ):  # fmt: skip
            status, answer = ask(config, "/signals", **parameters)
            assert status == 400, parameters
            assert len(answer["error"].splitlines()) == 1
        status, answer = ask(config, "/signals", after="0:900")
        assert (status, "made anew" in answer["error"]) == (410, True)
        streams = [Stream(config) for _ in range(2)]
        assert ask(config, "/signals/stream")[0] == 503
        streams[0].close()
        wait_for(lambda: Stream(config).answer.status == 200, 30)
        assert ask(config, "/signals/stream", last="0:1")[0] == 400


def test_a_client_that_reads_nothing_is_cut_off(tmp_path: Path, tansu: TansuBroker) -> None:
    """And goes on where it was; others are not held up."""
    file, config = prepared(tmp_path, tansu, "slow", patience=limit(1.0))
    publish(config, range(2))
    with running(file, config):
        silent = socket.create_connection(("127.0.0.1", config.gateway.http_port))
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.sendall(
            f"GET /signals/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        quick, seen = Stream(config), []
        reading = threading.Thread(target=lambda: seen.extend(quick.take(20_000)))
        reading.start()
        began = time.monotonic()
        for first in range(0, 20_000, 2_000):
            asyncio.run(_many(config, first, 2_000))
        reading.join(deadline(120))
        assert len(seen) == 20_000, time.monotonic() - began
        wait_for(lambda: metric(config, "alphawire_gateway_cut_off_total") == 1, 60)
        silent.close()


async def _many(config: Config, first: int, count: int) -> None:
    async with open_producer(config.kafka) as producer:
        sent = [
            await producer.send(topic_name(config.kafka, "signals"), signal_record("demo", "A", n), b"k", partition=0)
            for n in range(first, first + count)
        ]
        await asyncio.gather(*sent)


def metric(config: Config, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{config.gateway.http_port}/metrics", timeout=deadline(10)) as page:
        lines = dict(line.rsplit(" ", 1) for line in page.read().decode().splitlines() if not line.startswith("#"))
    return float(lines[name])


def test_positions_are_read_back() -> None:
    assert cursor.read(cursor.shown({1: 5, 0: 7})) == {0: 7, 1: 5}
    for text in ("", "0", "0:", "0:1,", "a:1", "0:1;1:2", "0:-1"):
        with pytest.raises(ValueError, match="is no position"):
            cursor.read(text)


def test_the_end_of_a_partition_keeps_the_last() -> None:
    part = PartitionEnd(0, kept=5)
    for offset in range(0, 20, 2):
        part.add([Published(0, offset, "s", "A", 0, b"")], offset + 1)
    assert (part.begin, part.end) == (9, 19)
    assert [signal.offset for signal in part.since(9, 2)] == [10, 12]
    assert [signal.offset for signal in part.since(13, 9)] == [14, 16, 18]
    assert part.since(19, 9) == []


def client_module() -> Any:
    return runpy.run_path(str(Path(__file__).parents[2] / "examples" / "gateway_client.py"))


def test_the_example_client_goes_through_a_kill(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """Repeats are dropped, what is too late is refused, and no signal is missed while the gateway is away."""
    file, config = prepared(tmp_path, kafka, "client")
    seen: list[int] = []
    client = client_module()["SignalStream"](
        f"http://127.0.0.1:{config.gateway.http_port}", "demo", token=TOKEN, position="0:0,1:0", pause=0.1,
        clock=lambda: 60_000 * 5,
    )  # fmt: skip

    def read() -> None:
        for signal in client:
            seen.append(signal["content"]["time"] // 60_000)
            if len(seen) == 8:
                return

    publish(config, range(10))
    threading.Thread(target=read, daemon=True).start()
    with running(file, config):
        wait_for(lambda: len(seen) == 4, 60)
        publish(config, range(8, 12))
        wait_for(lambda: len(seen) == 6, 60)
    publish(config, range(12, 16))
    with running(file, config):
        wait_for(lambda: len(seen) == 8, 60)
    assert sorted(seen) == [n for n in range(4, 16) if n % 3]
    assert client.counts == {"too late": 2, "repeated": 1}


def test_the_example_client_knows_every_field() -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "json" / "signals.schema.json").read_text())
    content = schema["$defs"]["SignalContent"]
    typed = client_module()["Content"]
    assert typed.__annotations__.keys() | typed.__mro__[0].__annotations__.keys() <= content["properties"].keys()
    assert typed.__required_keys__ == set(content["required"])
    assert typed.__required_keys__ | typed.__optional_keys__ == content["properties"].keys()
