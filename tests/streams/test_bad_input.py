"""One bad record never stops a partition, and nothing vanishes: where each went, and with what reason.

One live worker a broker reads them all, each with good bars before and after.
"""

import asyncio
import hashlib
import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pytest

from backtest.verify.verify import VerifyResult, verify
from schemas.canonical import signal_id
from schemas.configuration import Config
from schemas.wire import Signal
from streams.kafka.brokers import Broker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_admin, open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import MAX_DEAD_LETTER
from tests.support.deadlines import Deadline, deadline
from tests.support.live import WorkerProcess, records, strategy, wait_for, write_config
from tests.support.memory import bar

pytestmark = pytest.mark.broker

PARTITIONS = 2
LONG_RUNS = ("a long run", "a repeated run")
TIME = 1_380_000_000_000
ODD = [
    "Ünï😀",
    "東証7203",
    "e\u0301",
    "\u00e9",
    "العربية",
    "😀" * 64,
    "BTC/USD",
    "demo/:1m",
    "../../etc/x",
    "%s{0}$(x)",
]
UNSEEN = ["A\u202eB", "x\u200b", "\ufeffx", "x\u0000", "x\u0085", "x\u2066y", "x\U000e0041"]
"""Symbols that would look like others, or turn a terminal's text round."""


def home(symbol: str) -> int:
    return partition_of(symbol.encode(), PARTITIONS, "murmur2")


HOMES = {symbol: home(symbol) for symbol in ["GOOD", "LONG", "AAPL", "ELSE", *ODD]}
FILLERS = [next(s for s in ("F0", "F1", "F2", "F3", "F4") if home(s) == partition) for partition in range(PARTITIONS)]
UNIVERSE = ["GOOD", "LONG", "AAPL", *ODD]


@dataclass(frozen=True)
class Case:
    """A record, and where it must go: ``signal``, ``count:NAME``, or ``dead:KIND`` with a part of the reason."""

    name: str
    value: bytes | None
    goes: str
    reason: str = ""
    key: bytes | None = b"GOOD"
    partition: int = HOMES["GOOD"]


CASES: list[Case] = []
_minutes: Counter[str] = Counter()


def good(symbol: str = "GOOD", minute: int | None = None, interval: str = "1m", **changes: Any) -> dict[str, Any]:
    """The symbol's next bar."""
    if minute is None:
        _minutes[symbol] += 1
        minute = _minutes[symbol]
    return bar(symbol, minute, 100.0 + minute % 7, interval) | changes


def add(name: str, value: dict[str, Any] | bytes | None, goes: str, reason: str = "", **where: Any) -> None:
    """One more record; a bar's key and partition are its symbol's unless `where` says otherwise."""
    if isinstance(value, dict):
        symbol = str(value.get("symbol", "GOOD"))
        where = {"key": symbol.encode(), "partition": HOMES.get(symbol, HOMES["GOOD"])} | where
        value = json.dumps(value, ensure_ascii=False).encode()
    CASES.append(Case(name, value, goes, reason, **where))


def without(bar: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in bar.items() if key != name}


def rewritten(old: str, new: str) -> bytes:
    text = json.dumps(good(volume=5.5))
    assert old in text
    return text.replace(old, new).encode()


def fill() -> None:
    invalid = partial(add, goes="dead:invalid")
    undecodable = partial(add, goes="dead:undecodable")
    undecodable("bytes that are no JSON", b"\x00\xff\xfe\x01", reason="malformed")
    undecodable("JSON cut off", json.dumps(good()).encode()[:-9], reason="truncated")
    undecodable("text that is no UTF-8", json.dumps(good()).encode().replace(b"GOOD", b"G\xff\xffD"), reason="utf-8")
    add("a tombstone", None, "dead:tombstone", "cannot be deleted")
    invalid("a missing field", without(good(), "volume"), reason="missing required field `volume`")
    invalid("a missing symbol", without(good(), "symbol"), reason="missing required field `symbol`")
    invalid("an extra field", good(vwap=1.0), reason="unknown field `vwap`")
    invalid("a wrong type", good(close="100"), reason="Expected `float`, got `str` - at `$.close`")
    century = {"open_time": 4_900_000_020_000, "close_time": 4_900_000_080_000}
    add("a bar of another century", good(minute=0, **century), "dead:future", "opens at 2125-04-10 23:07:00 UTC")
    invalid("a null price", good(open=None), reason="got `null` - at `$.open`")
    invalid("a time as text", good(open_time="2013-10-04"), reason="at `$.open_time`")
    invalid("a list", b"[1, 2]", reason="Expected `object`, got `array`")
    undecodable("a NaN", rewritten("5.5", "NaN"), reason="malformed")
    undecodable("an Infinity", rewritten("5.5", "Infinity"), reason="malformed")
    invalid("an infinite volume", rewritten("5.5", "1e999"), reason="out of range - at `$.volume`")
    invalid("a number of 400 digits", rewritten("5.5", "1" * 400), reason="out of range - at `$.volume`")
    invalid("high below low", good(high=90.0, low=95.0), reason="high 90.0 is below low 95.0")
    invalid("a price of zero", good(low=0), reason="> 0.0 - at `$.low`")
    invalid("a price below zero", good(open=-1.0), reason="> 0.0 - at `$.open`")
    invalid("close above high", good(close=500.0), reason="close 500.0 is outside [low")
    invalid("close below low", good(close=1.0), reason="close 1.0 is outside [low")
    invalid("open outside", good(open=500.0), reason="open 500.0 is outside [low")
    invalid("volume below zero", good(volume=-1), reason=">= 0.0 - at `$.volume`")
    shifted = good()
    shifted["close_time"] += 1
    invalid("close_time not open_time + interval", shifted, reason="is not open_time")
    invalid("an interval that is none", good() | {"interval": "1w"}, reason="1w")
    invalid("a symbol with a space", good() | {"symbol": "GO OD"}, reason="symbol", key=b"GO OD")
    for symbol in UNSEEN:
        reason = "it has white space" if "\x85" in symbol else "it has an invisible character; remove U+"
        invalid(f"an unseen letter, {symbol!a}", good() | {"symbol": symbol}, reason=reason)
    undecodable("half a surrogate pair", rewritten("GOOD", r"\ud800"), reason="")
    add("closed: false", good(closed=False), "count:unclosed")
    add("closed: true", good(closed=True), "signal")
    add("a bar of another interval", good(minute=1_000_000, interval="5m"), "count:other_interval")
    add("outside the universe", good("ELSE"), "count:outside_universe")
    wrong_key = partial(add, goes="dead:wrong_key", reason="is not the symbol")
    wrong_key("another symbol's key", good(), key=b"AAPL")
    wrong_key("no key", good(), key=None)
    wrong_key("no key, of a symbol not seen before", good("AAPL", minute=1), key=None)
    wrong_key("an empty key", good(), key=b"")
    wrong_key("a key that is no UTF-8", good(), key=b"GO\xffOD\xfe")
    elsewhere = (
        f"AAPL belongs on partition {HOMES['AAPL']} by murmur2, and lies on {1 - HOMES['AAPL']}: set the producer"
    )
    add("wrong partition", good("AAPL", minute=1), "dead:wrong_partition", elsewhere, partition=1 - HOMES["AAPL"])
    for symbol in ODD:
        add(f"an odd symbol, {symbol[:8]}", good(symbol), "signal")
    add("5 MB", json.dumps(good()).encode() + b" " * 5_000_000, "dead:too_large", "a bar has at most 65536")
    fill_repeats()


def fill_repeats() -> None:
    run = [good("LONG") for _ in range(70)]
    for number, first in enumerate(run):
        add(f"a long run, bar {number}", first, "signal")
    add("a repeated bar", run[69], "count:repeats")
    add("a repeated bar with its numbers written otherwise", run[68] | {"volume": 100}, "count:repeats")
    for number in range(30, 70):
        add(f"a repeated run, bar {number}", run[number], "count:repeats")
    add("a corrected bar", run[60] | {"volume": 9.0}, "dead:correction", "taken before, with other values")
    add("a corrected bar again", run[60] | {"volume": 9.0}, "dead:correction", "taken before, with other values")
    add("the oldest bar in memory", run[6], "count:repeats")
    add("a bar older than the memory", run[5], "dead:late", "not newer than the symbol's last one")
    late = good("LONG", minute=500)
    add("a bar after a gap", late, "signal")
    add("a bar into the gap", good("LONG", minute=400), "dead:late", "not newer than the symbol's last one")
    half = good("LONG", minute=500)
    moved = {name: half[name] + 30_000 for name in ("open_time", "close_time")}
    add("a bar that overlaps the last", half | moved, "dead:late", "not newer than the symbol's last one")
    add("a bar after all that", good("LONG", minute=501), "signal")


fill()


@dataclass
class Run:
    """What one worker made of all the cases, with a good bar on each partition after every one."""

    config: Config
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    signals: list[Signal] = field(default_factory=list)
    dead: dict[tuple[int, int], list[Any]] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    exit: int | None = None
    verdict: VerifyResult | None = None


def expect(run: Run, accepted: dict[str, Any]) -> None:
    run.expected.add(signal_id("demo", accepted["symbol"], accepted["close_time"]))
    run.counts += Counter(bars=1, signals=1)


async def send(run: Run) -> None:
    """The cases in order, each at the place that it says."""
    await create_wide_bars(run.config)
    await create_topics(run.config.kafka)
    async with open_producer(run.config.kafka, max_request_size=16 << 20) as producer:
        put = partial(producer.send_and_wait, topic_name(run.config.kafka, "bars"))
        for minute, case in enumerate(CASES):
            found = await put(case.value, case.key, case.partition, timestamp_ms=TIME)
            run.sent[case.name] = (found.partition, found.offset)
            kind, _, name = case.goes.partition(":")
            if kind == "signal":
                expect(run, msgspec.json.decode(case.value or b""))
            else:
                run.counts[name if kind == "count" else "dead_letters"] += 1
            for partition, symbol in enumerate(FILLERS):
                filler = bar(symbol, minute, 50.0 + minute % 5)
                await put(json.dumps(filler).encode(), symbol.encode(), partition)
                expect(run, filler)


async def create_wide_bars(config: Config) -> None:
    """The bars topic as an operator may have made it: for records up to 8 MB."""
    from aiokafka.admin import NewTopic

    # records of long ago beside those of now: a limited retention would remove them as soon as it looks
    wide = {
        "max.message.bytes": str(8 << 20), "message.timestamp.before.max.ms": str(2**63 - 1), "retention.ms": "-1"
    }  # fmt: skip
    async with open_admin(config.kafka) as admin:
        await admin.create_topics([NewTopic(topic_name(config.kafka, "bars"), PARTITIONS, 1, topic_configs=wide)])


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    broker: Broker = request.getfixturevalue(request.param)
    file = tmp_path_factory.mktemp(f"bad-input-{request.param}") / "alphawire.yaml"
    port = free_port()
    demo = strategy(universe=[*UNIVERSE, *FILLERS])
    run = Run(write_config(file, broker.bootstrap, f"bad-{request.param}.", {"demo": demo}, http=True, http_port=port))
    asyncio.run(send(run))
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or done(run, status(port)), 180)
        run.status = marked_status(port)
        run.exit = worker.stop()
    run.log = file.with_suffix(".log").read_text()
    run.signals = [msgspec.json.decode(record.value, type=Signal) for record in records(run.config, "signals")]
    for record in records(run.config, "dead-letters"):
        headers = dict(record.headers)
        run.dead.setdefault((int(headers["partition"]), int(headers["offset"])), []).append(record)
    run.verdict = verify(run.config, "demo")
    return run


def done(run: Run, found: dict[str, Any]) -> bool:
    return Counter(found.get("counts", {})) == run.counts and all(
        part["published"] == part["position"] for part in found["partitions"].values()
    )


def marked_status(port: int) -> dict[str, Any]:
    """The page once the markers have followed the signals, or as it is if they do not."""
    limit = Deadline(10)
    while True:
        page = status(port)
        if limit.passed or all(part["marked"] == part["published"] for part in page["partitions"].values()):
            return page
        time.sleep(0.1)


def status(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=deadline(5)) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return {}


NAMED = [case for case in CASES if not case.name.startswith(LONG_RUNS)]


@pytest.mark.parametrize("case", NAMED, ids=[case.name for case in NAMED])
def test_every_record_goes_where_it_belongs(run: Run, case: Case) -> None:
    place = run.sent[case.name]
    letters = run.dead.get(place, [])
    signals = [s for s in run.signals if (s.provenance.partition, s.provenance.offset) == place]
    kind, _, error = case.goes.partition(":")
    assert (len(signals), len(letters)) == (int(kind == "signal"), int(kind == "dead"))
    if kind == "dead":
        check_letter(run, case, letters[0], error)


def test_a_long_run_and_its_repeat(run: Run) -> None:
    for case in CASES:
        if case.name.startswith(LONG_RUNS):
            test_every_record_goes_where_it_belongs(run, case)


def check_letter(run: Run, case: Case, letter: Any, error: str) -> None:
    headers = dict(letter.headers)
    assert headers["error"].decode() == error
    assert case.reason in headers["reason"].decode()
    assert headers["topic"].decode() == topic_name(run.config.kafka, "bars")
    assert (letter.partition, letter.key, letter.timestamp) == (case.partition, case.key, TIME)
    if case.value is not None and len(case.value) > MAX_DEAD_LETTER:
        assert letter.value == case.value[:MAX_DEAD_LETTER]
        assert headers["truncated"].decode() == str(len(case.value))
        assert headers["sha256"].decode() == hashlib.sha256(case.value).hexdigest()
    else:
        assert letter.value == case.value
        assert "truncated" not in headers


def test_the_good_bars_are_all_there(run: Run) -> None:
    assert {signal.content.id for signal in run.signals} == run.expected
    assert len(run.signals) == len(run.expected)


def test_live_is_what_a_replay_says(run: Run) -> None:
    assert run.verdict is not None
    assert run.verdict.ok, run.verdict.differences[:3]
    assert (run.verdict.equal, run.verdict.unpublished) == (len(run.expected), 0)


def test_the_user_sees_the_counts(run: Run) -> None:
    """On the page, and in the log when the worker stops."""
    assert run.exit == 0
    assert Counter(run.status["counts"]) == run.counts
    stopped = next(line for line in run.log.splitlines() if "stopped: " in line)
    assert stopped.split("stopped: ")[1] == ", ".join(f"{count} {name}" for name, count in sorted(run.counts.items()))


def test_the_page_tells_where_every_partition_stands(run: Run) -> None:
    ends = Counter(partition for partition, _ in run.sent.values())
    found = run.status["partitions"]
    for partition in range(PARTITIONS):
        end = ends[partition] + len(CASES)
        assert [found[str(partition)][step] for step in ("position", "published", "marked")] == [end] * 3
