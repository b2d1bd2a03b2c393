"""Dead letters from a live worker: listed, shown, mended, and put back once, whatever dies in between."""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alphawire.cli import cli
from schemas.configuration import Config, Worker
from schemas.errors import BadRecord, BrokerError, ConfigurationError
from streams.consuming.clock_bound import latest_open
from streams.dead_letters.letters import Choice, Letter, Place
from streams.dead_letters.mending import Mend, mended
from streams.dead_letters.reinjection import Replayed, replay_letters
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.support import forked
from tests.support.live import WorkerProcess, records, strategy, wait_for, write_config
from tests.support.memory import bar

pytestmark = pytest.mark.broker

PARTITIONS = 2
SYMBOLS = [
    next(s for s in ("A", "B", "C", "D") if partition_of(s.encode(), PARTITIONS, "murmur2") == p) for p in (0, 1)
]
NEAR, FAR = SYMBOLS
BIG = 300_000


@dataclass
class Run:
    """A broker with the letters that a worker made of what was sent; each letter's place by the name of the case."""

    file: Path
    config: Config
    places: dict[str, str]

    def cli(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["dead-letters", *words, "-c", str(self.file)])

    def json(self, *words: str, code: int = 0) -> Any:
        result = self.cli(*words, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.output)


def value(symbol: str, minute: int, **changes: Any) -> bytes:
    return json.dumps(bar(symbol, minute, 100.0) | changes).encode()


def without_volume(symbol: str, minute: int) -> bytes:
    return json.dumps({k: v for k, v in bar(symbol, minute, 100.0).items() if k != "volume"}).encode()


BAD = [
    ("wrong_partition", value(FAR, 7), FAR.encode(), 0),
    ("wrong_partition again", value(FAR, 6), FAR.encode(), 0),
    ("invalid", without_volume(NEAR, 5), NEAR.encode(), 0),
    ("undecodable", b"\x00\xff\x1b[2J", NEAR.encode(), 0),
    ("late", value(NEAR, 0), NEAR.encode(), 0),
    ("wrong_key", value(NEAR, 6), b"other", 0),
    ("too_large", value(NEAR, 7) + b" " * BIG, NEAR.encode(), 0),
    ("tombstone", None, NEAR.encode(), 0),
]


async def send(config: Config) -> dict[str, int]:
    """Two good bars of each symbol, then what is bad; offsets of the bad ones."""
    await create_topics(config.kafka)
    async with open_producer(config.kafka) as producer:
        put = partial(producer.send_and_wait, topic_name(config.kafka, "bars"))
        for number, symbol in enumerate(SYMBOLS):
            for minute in (1, 2):
                await put(value(symbol, minute), symbol.encode(), number)
        sent = {}
        for name, content, key, place in BAD:
            time = 1_380_000_000_000 if content is None else 1_380_000_060_000 + len(sent)
            if name.startswith("wrong_partition"):
                time = json.loads(content or b"")["close_time"]
            sent[name] = (await put(content, key, place, timestamp_ms=time)).offset
    return sent


async def request(config: Config) -> None:
    async with open_producer(config.kafka) as producer:
        await producer.send_and_wait(topic_name(config.kafka, "plugins.requests"), b'{"id": 7}', b"me", 0)


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def run(request: pytest.FixtureRequest, tmp_path: Path, kafka_config: Any) -> Run:
    broker: Broker = request.getfixturevalue(request.param)
    file = tmp_path / "alphawire.yaml"
    demo = {"demo": strategy(features=["technical.rsi"], prediction="rsi")}
    config = write_config(file, broker.bootstrap, kafka_config(broker).prefix, demo)
    sent = asyncio.run(send(config))
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or len(records(config, "dead-letters")) == len(BAD))
        assert worker.stop() == 0
    letters = {dict(r.headers)["offset"].decode(): r for r in records(config, "dead-letters")}
    found = {name: letters[str(offset)] for name, offset in sent.items()}
    return Run(file, config, {name: f"{letter.partition}:{letter.offset}" for name, letter in found.items()})


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def quiet(request: pytest.FixtureRequest, tmp_path: Path, kafka_config: Any) -> Run:
    """The topics alone, without a worker."""
    broker: Broker = request.getfixturevalue(request.param)
    config = write_config(tmp_path / "alphawire.yaml", broker.bootstrap, kafka_config(broker).prefix)
    asyncio.run(create_topics(config.kafka))
    return Run(tmp_path / "alphawire.yaml", config, {})


def bars(run: Run) -> list[tuple[int, Any]]:
    return [(record.partition, record) for record in records(run.config, "bars")]


def put_back(run: Run) -> list[tuple[int, bytes | None, bytes | None, str]]:
    """Partition, key, value and the letter's place of each record that was put back."""
    found = []
    for number, record in bars(run):
        if came := dict(record.headers).get("replayed-from"):
            found.append((number, record.key, record.value, came.decode().rpartition("/")[2]))
    return found


def test_letters_are_listed_shown_and_put_back_once(run: Run) -> None:
    """One flow, as an operator goes through it: each broker's start costs seconds."""
    places = run.places
    check_list(run)
    check_show(run)
    # as they are: what the producer put on the wrong partition goes where it belongs, by time
    answer = run.json("replay", "--error", "wrong_partition")
    assert [item["letter"] for item in answer["replayed"]] == [
        places["wrong_partition again"],
        places["wrong_partition"],
    ]
    assert put_back(run) == [
        (1, FAR.encode(), value(FAR, 6), places["wrong_partition again"]),
        (1, FAR.encode(), value(FAR, 7), places["wrong_partition"]),
    ]
    # twice: nothing
    again = run.json("replay", "--error", "wrong_partition")
    assert (again["replayed"], len(again["replayed_before"]), len(put_back(run))) == ([], 2, 2)
    check_what_stays(run)
    check_mending(run)
    with WorkerProcess(run.file) as worker:
        wanted = {(FAR, 6), (FAR, 7), (NEAR, 5), (NEAR, 6), (NEAR, 9)}
        wait_for(lambda: worker.process.poll() is not None or signals(run) >= wanted)
        assert worker.stop() == 0
    assert len(records(run.config, "dead-letters")) == len(BAD) + marks(run)


def signals(run: Run) -> set[tuple[str, int]]:
    found = [json.loads(record.value)["content"] for record in records(run.config, "signals")]
    return {(content["symbol"], (content["time"] - 1_380_000_000_000) // 60_000 - 1) for content in found}


def marks(run: Run) -> int:
    return sum(bool({"replayed", "replaying"} & dict(r.headers).keys()) for r in records(run.config, "dead-letters"))


def check_list(run: Run) -> None:
    answer = run.json("list")
    kinds = {name: 2 if name == "wrong_partition" else 1 for name, *_ in BAD if name != "wrong_partition again"}
    assert (answer["counts"], answer["foreign"], len(answer["letters"])) == (kinds, 0, len(BAD))
    assert len(run.json("list", "--limit", "3")["letters"]) == 3
    assert run.json("list", "--partition", "1")["counts"] == {}
    assert run.json("list", "--error", "late", "--error", "wrong_key")["counts"] == {"late": 1, "wrong_key": 1}
    early = run.json("list", "--to", "1380000060000")["letters"]
    assert [letter["error"] for letter in early] == ["tombstone"]
    text = run.cli("list").output
    assert text.splitlines()[-1].startswith(f"{len(BAD)} dead letters: 1 invalid, ")


def check_show(run: Run) -> None:
    letter = run.json("show", run.places["invalid"])
    assert letter["value"] == json.loads(without_volume(NEAR, 5))
    assert letter["reason"] == "Object missing required field `volume`"
    assert letter["key"] == NEAR
    hexadecimal = run.cli("show", run.places["undecodable"]).output
    assert "00 ff 1b 5b 32 4a" in hexadecimal
    assert "\x1b" not in hexadecimal
    large = run.json("show", run.places["too_large"])
    assert large["truncated"] == len(value(NEAR, 7)) + BIG
    missing = run.cli("show", "1:999")
    assert isinstance(missing.exception, ConfigurationError)
    assert "there is no dead letter 1:999" in str(missing.exception)


def check_what_stays(run: Run) -> None:
    """What would be refused again is not put back, and each says why."""
    answer = run.json("replay", "--all", code=1)
    assert answer["replayed"] == []
    reasons = {item["letter"]: item["reason"] for item in answer["refused"]}
    for name, reason in {
        "invalid": "missing required field `volume`",
        "undecodable": "malformed",
        "late": "newer bars of the symbol were taken since",
        "wrong_key": "--set symbol=SYMBOL",
        "too_large": "only its beginning is here",
        "tombstone": "no value",
    }.items():
        assert reason in reasons[run.places[name]], name
    missing = run.json("replay", "1:77", code=1)
    assert missing["missing"] == ["1:77"]


def check_mending(run: Run) -> None:
    places = run.places
    dry = run.json("replay", places["invalid"], "--set", "volume=5", "--dry-run")
    assert len(dry["replayed"]) == 1
    assert len(put_back(run)) == 2
    assert len(run.json("replay", places["invalid"], "--set", "volume=5")["replayed"]) == 1
    assert len(run.json("replay", places["wrong_key"], "--set", f"symbol={NEAR}")["replayed"]) == 1
    # a late one whose value is the same stays, however it is given
    listed = run.file.with_name("listed.jsonl")
    assert run.cli("list", "--error", "late", "--out", str(listed)).exit_code == 0
    assert "newer bars" in run.json("replay", "--file", str(listed), code=1)["refused"][0]["reason"]
    partition, offset = map(int, places["too_large"].split(":"))
    mended = run.file.with_name("mended.jsonl")
    mended.write_text(json.dumps({"partition": partition, "offset": offset, "value": bar(NEAR, 9, 100.0)}) + "\n")
    assert len(run.json("replay", "--file", str(mended))["replayed"]) == 1
    found = put_back(run)
    assert {place for *_, place in found[:3]} == {places["invalid"], places["wrong_key"], places["too_large"]}
    assert json.loads(found[0][2] or b"") == bar(NEAR, 5, 100.0) | {"volume": 5}
    assert run.json("show", places["invalid"])["replayed"]


async def at_once(config: Config, choice: Choice, count: int) -> list[Any]:
    replays = (replay_letters(config.kafka, choice, Mend()) for _ in range(count))
    return await asyncio.gather(*replays, return_exceptions=True)


POINTS = {
    "tansu": ["after_replay_intention", "before_replay_marks"],
    "kafka": ["before_replay_commit"],
}


def test_a_replay_that_dies_and_runs_again_puts_each_back_once(run: Run, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["run"]
    for point in POINTS[kind]:
        words = ("dead-letters", "replay", "--error", "wrong_partition", "-c", run.file)
        died = forked.run(*words, environment={"ALPHAWIRE_FAILPOINTS": point})
        assert died.returncode == -9
    # two at once, where the later one fences the other; elsewhere the documentation says one at a time
    choice = Choice(errors=frozenset({"wrong_partition"}))
    results = asyncio.run(at_once(run.config, choice, 2 if kind == "kafka" else 1))
    assert sum(len(result.replayed) for result in results if isinstance(result, Replayed)) in (0, 2)
    assert not [result for result in results if not isinstance(result, Replayed | BrokerError)]
    run.json("replay", "--error", "wrong_partition")
    assert [place for *_, place in put_back(run)] == [
        run.places["wrong_partition again"],
        run.places["wrong_partition"],
    ]
    assert len(run.json("replay", "--error", "wrong_partition")["replayed_before"]) == 2


def test_a_letter_cannot_name_another_topic(quiet: Run) -> None:
    """Who may write to dead-letters gets no other topic written by it."""

    async def forge() -> None:
        headers = {"topic": topic_name(quiet.config.kafka, "signals"), "partition": "0", "offset": "0"}
        pairs = [(k, v.encode()) for k, v in (headers | {"error": "invalid", "reason": "x\x1b[31m"}).items()]
        async with open_producer(quiet.config.kafka) as producer:
            put = partial(producer.send_and_wait, topic_name(quiet.config.kafka, "dead-letters"))
            await put(value(NEAR, 50), NEAR.encode(), 1, headers=pairs)
            await put(b"no letter", None, 1)
            await put(b"no place", None, 1, headers=[("replayed", b"../../etc:1")])

    asyncio.run(forge())
    assert quiet.json("list", "--partition", "1")["foreign"] == 2
    assert "\x1b" not in quiet.cli("list", "--partition", "1").output
    answer = quiet.json("replay", "--partition", "1", code=1)
    assert "none of the topics that are read here" in answer["refused"][0]["reason"]


def test_wrong_use_is_one_clear_line(quiet: Run, tmp_path: Path) -> None:
    file = tmp_path / "mended.jsonl"
    file.write_text('{"partition": 0, "offset": 1, "value": [1]}\n')
    for words, text in {
        ("replay",): "which letters?",
        ("replay", "x"): "write PARTITION:OFFSET",
        ("replay", "--file", str(file)): "mended.jsonl:1: `value` is not a JSON object",
        ("replay", "--all", "--set", "volume"): "write FIELD=VALUE",
        ("show", "0:²"): "write PARTITION:OFFSET",
    }.items():
        found = quiet.cli(*words)
        assert isinstance(found.exception, ConfigurationError)
        assert text in str(found.exception)


def test_a_bar_of_the_future_goes_back_when_its_time_is_mended_or_has_come() -> None:
    kafka = Config().kafka
    value = json.dumps(bar("A", 0, 100.0)).encode()
    opened = bar("A", 0, 100.0)["open_time"]
    letter = Letter(Place(0, 5), "bars", 0, 7, "future", "", b"A", value, 12, None, None)
    with pytest.raises(BadRecord, match=r"worker\.clock_tolerance"):
        mended(kafka, 1, letter, Mend(latest=opened - 1))
    assert mended(kafka, 1, letter, Mend(latest=opened)).record.value == value
    assert mended(kafka, 1, letter, Mend()).record.value == value
    earlier = Mend(fields={"open_time": opened - 60_000, "close_time": opened}, latest=opened - 1)
    assert mended(kafka, 1, letter, earlier).record.timestamp == opened
    assert (latest_open(Config().worker, 10.0), latest_open(Worker(clock_tolerance=None), 10.0)) == (310_000, None)


def test_a_mended_article_goes_back_to_the_news() -> None:
    """On the partition that it came from, under its own id; one that is still no article stays a letter."""
    kafka = Config.model_validate({"kafka": {"news_partitions": 2}}).kafka
    value = b'{"id": "a-1", "published_at": "soon", "symbols": ["BAC"], "headline": "Banks gain"}'
    letter = Letter(Place(0, 5), "news", 1, 7, "invalid", "published_at", b"a-1", value, 12, None, None)
    found = mended(kafka, 8, letter, Mend(fields={"published_at": 1_380_873_960_000}))
    assert (found.partition, found.record.topic, found.record.key) == (1, "news", b"a-1")
    assert json.loads(found.record.value or b"")["published_at"] == 1_380_873_960_000
    with pytest.raises(BadRecord):
        mended(kafka, 8, letter, Mend())
    elsewhere = Letter(Place(0, 5), "news", 2, 7, "invalid", "", b"a-1", value, 12, None, None)
    with pytest.raises(BadRecord, match="no partition 2"):
        mended(kafka, 8, elsewhere, Mend(fields={"published_at": 1}))
