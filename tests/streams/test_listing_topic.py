"""The listing on its topic, on request, and over HTTP: from a live worker, and from another with other plugins."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugins.base.loading.listing import entries
from schemas.configuration import Config
from schemas.wire import PluginEntry, PluginReply, encode
from streams.kafka.brokers import Broker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer
from streams.kafka.topics import create_topics, topic_name
from streams.service.listing import changes, read_listing
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, records, wait_for, write_config

PLUGIN = '''
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("mine.features.range")
class Range(BaseFeature):
    """High - low."""
    outputs = ("range",)
    lookback = 1
    def compute(self, data):
        return (data["high"] - data["low"]).to_frame("range")
'''


def entry(key: str, distribution: str, version: str, **changes: Any) -> PluginEntry:
    return msgspec.structs.replace(
        PluginEntry("features", key, "1", distribution, version, "somewhere", "a plugin", True), **changes
    )


def written(ours: list[PluginEntry], *listed: PluginEntry) -> dict[str, PluginEntry | None]:
    """What is written to bring a listing of `listed` up to date; None for a tombstone."""
    there = {f"{e.category}/{e.key}": e for e in listed}
    return {
        (record.key or b"").decode(): msgspec.json.decode(record.value, type=PluginEntry) if record.value else None
        for record in changes("plugins", ours, there)
    }


NEW, OLD = entry("a", "numpy", "99999.0"), entry("a", "numpy", "0.1")


def test_what_is_missing_is_written() -> None:
    assert written([NEW]) == {"features/a": NEW}


def test_what_is_there_is_left() -> None:
    assert written([NEW], NEW) == {}


def test_what_changed_is_written() -> None:
    changed = msgspec.structs.replace(OLD, summary="another")
    assert written([changed], OLD) == {"features/a": changed}


def test_a_newer_version_replaces_an_older_one_and_not_the_other_way() -> None:
    assert written([NEW], OLD) == {"features/a": NEW}
    assert written([OLD], NEW) == {}


def test_the_newer_version_is_by_number_not_by_letter() -> None:
    assert written([entry("a", "numpy", "0.10")], entry("a", "numpy", "0.9")) != {}
    assert written([entry("a", "numpy", "0.9")], entry("a", "numpy", "0.10")) == {}


def test_a_gone_key_is_erased_by_the_same_or_a_newer_version() -> None:
    """numpy, which is installed here, stands for a package of plugins."""
    import numpy

    assert written([], OLD) == {"features/a": None}
    assert written([], entry("a", "numpy", numpy.__version__)) == {"features/a": None}


def test_a_gone_key_of_a_newer_version_or_of_another_distribution_stays() -> None:
    assert written([], NEW) == {}
    assert written([], entry("a", "a-package-not-installed-here", "0.1")) == {}
    assert written([], entry("a", "file", "1a2b3c4d5e6f")) == {}
    assert written([], entry("a", "numpy", "no version")) == {}


FORGED = {
    "alphawire, older": entry("technical.gone", "alphawire", "0.0.1"),
    "alphawire, newer": entry("technical.to_come", "alphawire", "99.0"),
    "another": entry("vendor.features.theirs", "a-package-not-installed-here", "1.0"),
}
REQUESTS: dict[str, bytes | None] = {
    "all": b'{"id": "all"}',
    "category": b'{"id": "category", "category": "signals"}',
    "key": b'{"id": "key", "key": "technical.rsi"}',
    "both": b'{"id": "both", "category": "features", "key": "mine.features.range"}',
    "unknown": b'{"id": "unknown", "key": "technical.rsy"}',
    "unknown category": b'{"id": "unknown category", "category": "featurs"}',
    "no such pair": b'{"id": "no such pair", "category": "models", "key": "technical.rsi"}',
    "odd id": '{"id": "Ünï 😀"}'.encode(),
    "undecodable": b"\x00rubbish",
    "tombstone": None,
    "without id": b'{"key": "technical.rsi"}',
    "empty id": b'{"id": ""}',
    "long id": json.dumps({"id": "x" * 201}).encode(),
    "number as id": b'{"id": 42}',
}


@dataclass
class Lives:
    """A worker with a plugin of its own, seen at work, and one without it, afterwards."""

    config: Config
    port: int
    first: dict[str, PluginEntry]
    second: dict[str, PluginEntry]
    replies: dict[str, PluginReply]
    dead: dict[bytes | None, Any]
    listening: set[str]
    pages: dict[str, Any]
    refused: dict[tuple[str, str], int]
    clash: tuple[int, str]


async def write(config: Config, topic: str, values: dict[str, bytes | None]) -> None:
    async with open_producer(config.kafka) as producer:
        for key, value in values.items():
            await producer.send_and_wait(topic_name(config.kafka, topic), value, key.encode(), partition=0)


async def prepare(config: Config) -> None:
    await create_topics(config.kafka)
    await write(config, "plugins", {f"features/{e.key}": encode(e) for e in FORGED.values()})
    await write(config, "plugins", {"features/rubbish": b"no entry"})
    await write(config, "plugins.requests", REQUESTS)


def answered(config: Config) -> bool:
    letters = [r for r in records(config, "dead-letters") if dict(r.headers)["topic"].endswith(b"plugins.requests")]
    return len(records(config, "plugins.replies")) + len(letters) >= len(REQUESTS)


def ask(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=b"{}" if method != "GET" else None
    )
    try:
        with urllib.request.urlopen(request, timeout=deadline(10)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


def listening(port: int) -> set[str]:
    """Local addresses on which somebody listens at `port`, as the kernel writes them (IPv4 and IPv6)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                found.add(local.rpartition(":")[0])
    return found


PAGES = [
    "/features/plugins/available",
    "/models/plugins/available",
    "/signals/plugins/available",
    "/backtests/engines/available",
    "/plugins",
    "/status",
    "/health/live",
    "/health/ready",
]


BROKERS = [
    pytest.param("tansu", marks=pytest.mark.broker),
    pytest.param("kafka", marks=[pytest.mark.broker, pytest.mark.kafka]),
]


@pytest.fixture(scope="module", params=BROKERS)
def lives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    broker: Broker = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(f"listing-{request.param}")
    (folder / "mine.py").write_text(PLUGIN)
    file, port = folder / "alphawire.yaml", free_port()
    config = write_config(file, broker.bootstrap, f"listing-{request.param}.", http=True, http_port=port)
    asyncio.run(prepare(config))
    with WorkerProcess(file, "--plugins", str(folder / "mine.py")) as worker:
        wait_for(lambda: worker.process.poll() is not None or answered(config), 120)
        wait_for(lambda: worker.process.poll() is not None or "records written" in file.with_suffix(".log").read_text())
        first = asyncio.run(read_listing(config.kafka))
        addresses, pages = listening(port), {path: ask(port, path) for path in PAGES}
        refused = {
            (path, verb): ask(port, path, verb)[0] for path in PAGES for verb in ("POST", "PUT", "DELETE", "PATCH")
        }
        with WorkerProcess(file, log=folder / "clash.log") as other:
            clash = other.process.wait(deadline(60)), (folder / "clash.log").read_text()
        assert worker.stop() == 0
    with WorkerProcess(file, "--no-http", log=folder / "second.log") as worker:
        wait_for(lambda: "records written" in (folder / "second.log").read_text(), 120)
        wait_for(lambda: worker.process.poll() is not None or "restored in" in (folder / "second.log").read_text(), 120)
        assert worker.stop() == 0
    replies = {
        (r.key or b"").decode(): msgspec.json.decode(r.value, type=PluginReply)
        for r in records(config, "plugins.replies")
    }
    dead = {letter.key: letter for letter in records(config, "dead-letters")}
    second = asyncio.run(read_listing(config.kafka))
    return Lives(config, port, first, second, replies, dead, addresses, pages, refused, clash)


OURS = {f"{e.category}/{e.key}" for e in entries()}
MINE = "features/mine.features.range"


def test_a_worker_publishes_what_it_has(lives: Lives) -> None:
    assert {key: e for key, e in lives.first.items() if key in OURS} == {f"{e.category}/{e.key}": e for e in entries()}
    assert lives.first[MINE].distribution == "file"


def test_it_erases_only_what_its_own_distribution_dropped(lives: Lives) -> None:
    assert "features/technical.gone" not in lives.first
    assert lives.first.keys() - OURS == {MINE, "features/technical.to_come", "features/vendor.features.theirs"}


def test_a_worker_with_other_plugins_erases_nothing(lives: Lives) -> None:
    assert lives.second == lives.first


def test_requests_are_answered(lives: Lives) -> None:
    def keys(identity: str) -> set[str]:
        return {f"{e.category}/{e.key}" for e in lives.replies[identity].plugins}

    everything = OURS | {MINE}
    assert keys("all") == keys("Ünï 😀") == everything
    assert keys("category") == {key for key in everything if key.startswith("signals/")}
    assert keys("key") == {"features/technical.rsi"}
    assert keys("both") == {MINE}
    assert all(lives.replies[i].error is None for i in ("all", "category", "key", "both"))


@pytest.mark.parametrize(
    ("identity", "error"),
    [
        ("unknown", "no plugin with category any and key technical.rsy"),
        ("unknown category", "no plugin with category featurs and key any"),
        ("no such pair", "no plugin with category models and key technical.rsi"),
    ],
)
def test_what_is_not_there_is_said(lives: Lives, identity: str, error: str) -> None:
    assert lives.replies[identity].plugins == []
    assert lives.replies[identity].error == error


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("undecodable", "undecodable", "malformed"),
        ("tombstone", "undecodable", "truncated"),
        ("without id", "invalid", "missing required field `id`"),
        ("empty id", "invalid", "`$.id`"),
        ("long id", "invalid", "`$.id`"),
        ("number as id", "invalid", "got `int` - at `$.id`"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_dead_letter(lives: Lives, name: str, kind: str, reason: str) -> None:
    letter = lives.dead[name.encode()]
    headers = dict(letter.headers)
    assert (letter.value, headers["error"].decode()) == (REQUESTS[name], kind)
    assert reason in headers["reason"].decode()
    assert headers["topic"].decode() == topic_name(lives.config.kafka, "plugins.requests")
    assert int(headers["offset"]) == list(REQUESTS).index(name)


def test_every_request_has_one_answer(lives: Lives) -> None:
    assert len(lives.replies) + len(lives.dead) == len(REQUESTS)


def test_the_pages(lives: Lives) -> None:
    everything = sorted(OURS | {MINE})
    for category, (page, name) in {
        "features": ("/features/plugins/available", "plugins"),
        "models": ("/models/plugins/available", "plugins"),
        "signals": ("/signals/plugins/available", "plugins"),
        "engines": ("/backtests/engines/available", "engines"),
    }.items():
        keys = [key.partition("/")[2] for key in everything if key.startswith(category + "/")]
        assert keys
        assert lives.pages[page] == (200, {name: sorted(keys)})
    code, page_of_all = lives.pages["/plugins"]
    assert code == 200
    assert {f"{e['category']}/{e['key']}" for e in page_of_all["plugins"]} == set(everything)
    code, standing = lives.pages["/status"]
    assert (code, sorted(standing["partitions"]), standing["strategies"]) == (200, ["0", "1"], ["demo"])


def test_the_pages_are_read_only(lives: Lives) -> None:
    assert set(lives.refused.values()) == {405}


def test_the_pages_are_on_loopback_only(lives: Lives) -> None:
    assert lives.listening == {f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}"}


def test_a_port_in_use_is_one_clear_line(lives: Lives) -> None:
    code, said = lives.clash
    assert code == 2
    assert said.strip().splitlines()[-1] == (
        f"alphawire: the pages cannot be served on 127.0.0.1:{lives.port} (Address already in use);"
        " choose another port with --http-port (0: any free one), or leave them out with --no-http"
    )
    assert "Traceback" not in said
