"""A running worker's model is exchanged from the command line, its strategy paused and resumed; what is bad is refused,
and the old one stays.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from alphawire.commands.research.verify import describe
from backtest.replay.replay import replay
from backtest.verify.verify import verify
from plugins.models.artifacts.manifest import read_manifest
from schemas.configuration import Config, load_config
from schemas.wire import Applied, Signal, Use
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics, topic_name
from streams.publishing.writer import PRODUCER
from streams.recovery.state import decode_applied, load
from streams.requests.control_topic import answers, send
from tests.support.deadlines import deadline
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, topics_and_bars, wait_for, write_config
from tests.support.swaps import ARTIFACTS, NAME, REASONS, bad_artifacts, demanded_faults, modelled, save_model

pytestmark = pytest.mark.broker

BARS = minute_bars(1_200)
SIZE = 200


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "models"
    return {name: save_model(folder / name, seed) for seed, name in enumerate(ARTIFACTS)}


def command(file: Path, *words: str) -> tuple[int, Any]:
    done = CliRunner().invoke(cli, [*words, "-c", str(file), "--json", "--wait", "30"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.output)


def found(config: Config) -> tuple[list[Applied], list[Signal]]:
    applied = [entry for record in records(config, "control") if (entry := decode_applied(record.value))]
    return applied, [msgspec.json.decode(r.value, type=Signal) for r in records(config, "signals")]


def through(config: Config) -> int:
    """How many bars the worker is through with, whatever they came to."""
    partitions = range(config.kafka.partitions)
    return sum(asyncio.run(load(KafkaLog(config.kafka), partition)).published.get(NAME, 0) for partition in partitions)


def test_models_come_and_go_under_a_running_worker(tansu: TansuBroker, tmp_path: Path, models: dict[str, str]) -> None:
    file, folder = tmp_path / "swaps.yaml", tmp_path / "models"
    config = write_config(file, tansu.bootstrap, "swaps.", {NAME: modelled(folder)})
    topics_and_bars(config, BARS.iloc[:SIZE])
    signals, sent = SignalCount(config), SIZE

    def more(count: int) -> None:
        nonlocal sent
        asyncio.run(produce_bars(config.kafka, BARS.iloc[sent : sent + SIZE]))
        sent += SIZE
        wait_for(lambda: signals() == count)

    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == SIZE)
        code, said = command(file, "models", "use", NAME, "b")
        assert (code, [answer["accepted"] for answer in said["answers"]]) == (0, [True])
        more(2 * SIZE)
        time = int(BARS["close_time"].iloc[sent + SIZE // 2])
        assert command(file, "models", "use", NAME, "c", "--from", str(time))[0] == 0
        more(3 * SIZE)
        worker.kill()
    with WorkerProcess(file) as worker:  # it hears of `c` at its start
        wait_for(worker.ready)
        assert command(file, "pause", NAME)[0] == 0
        wait_for(lambda: sum(entry.paused for entry in found(config)[0]) == 2)
        more(3 * SIZE)
        wait_for(lambda: through(config) == sent)  # a resumption at once may be heard before bars that came before it
        assert command(file, "resume", NAME)[0] == 0
        wait_for(lambda: not found(config)[0][-1].paused)
        said = asyncio.run(answered(config, bad_artifacts(folder)))
        assert {fault: why for fault, why in REASONS.items() if why not in said.get(fault, "")} == {}, said
        asyncio.run(foreign(config, b'{"kind":"use","id":"x","strategy":"moving","artifact":"../x","sha256":null}'))
        assert command(file, "models", "use", NAME, "--back")[0] == 0
        more(4 * SIZE)
        assert worker.stop() == 0
    log = file.with_suffix(".log").read_text()
    assert "moving: the model c" in log
    assert "is no control request; ignored" in log
    applied, live = found(config)
    assert list(demanded_faults(applied, live)) == []
    assert {entry.artifact for entry in applied} == {None, "b", "c"}
    assert {signal.content.model.sha256 for signal in live if signal.content.model} == set(models.values())
    verdict = verify(config, NAME)
    assert verdict.ok, describe(verdict)
    _check_replay(config, file, folder, live)
    (folder / "b" / "manifest.json").unlink()
    lacking = verify(config, NAME)
    assert f"it needs the model b of SHA-256 {models['b']}" in (lacking.not_reproducible or "")


def _check_replay(config: Config, file: Path, folder: Path, live: list[Signal]) -> None:
    """With what was in force, paused bars without signals; or all bars as configured now; or what can be made here."""

    def models_of(signals: list[Signal]) -> list[tuple[str, str | None]]:
        return sorted((s.content.id, s.content.model.sha256 if s.content.model else None) for s in signals)

    replayed = replay(config, NAME, "kafka")
    assert models_of(replayed.raw) == models_of(live)
    assert (replayed.lacking, replayed.other) == ([], None)
    configured = replay(config, NAME, "kafka", as_configured=True).raw
    assert len(configured) == 5 * SIZE
    assert {s.content.model.sha256 for s in configured if s.content.model} == {read_manifest(folder / "a").sha256}
    gone = read_manifest(folder / "b").sha256
    (folder / "b").rename(folder.parent / "b")
    out = file.with_suffix(".jsonl")
    done = CliRunner().invoke(cli, ["replay", NAME, "--out", str(out), "-c", str(file), "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["signals"]) == (1, sum(sha256 != gone for _, sha256 in models_of(live)))
    assert f"it needs the model b of SHA-256 {gone}" in told["lacking"][0]
    assert "not recomputed: " in done.stderr
    (folder.parent / "b").rename(folder / "b")


async def answered(config: Config, bad: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Why each of the wishes is refused."""
    wishes = {fault: Use(f"bad-{fault}", NAME, name, sha256) for fault, (name, sha256) in bad.items()}
    offsets = {fault: await send(config.kafka, wish) for fault, wish in wishes.items()}
    found = {fault: await answers(config.kafka, wish, offsets[fault], 1, 30.0) for fault, wish in wishes.items()}
    return {fault: answer.reason or "" for fault, (answer,) in found.items()}


async def foreign(config: Config, value: bytes, partition: int = 0) -> None:
    async with open_producer(config.kafka, **PRODUCER) as producer:
        await producer.send_and_wait(topic_name(config.kafka, "control"), value, b"moving", partition=partition)


@pytest.mark.slow
def test_what_is_in_force_and_not_here_is_not_replaced(
    tansu: TansuBroker, tmp_path: Path, models: dict[str, str]
) -> None:
    file = tmp_path / "lost.yaml"
    config = write_config(file, tansu.bootstrap, "lost.", {NAME: modelled(tmp_path / "models")})
    topics_and_bars(config, BARS.iloc[:SIZE])
    signals = SignalCount(config)
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == SIZE)
        assert command(file, "models", "use", NAME, "b")[0] == 0
        wait_for(lambda: sum(entry.artifact == "b" for entry in found(config)[0]) == 2)
        assert worker.stop() == 0
    (tmp_path / "models" / "b" / "manifest.json").unlink()
    with WorkerProcess(file) as worker:
        assert worker.process.wait(deadline(60)) == 2
    said = file.with_suffix(".log").read_text()
    assert "strategy moving runs with the model b on lost.bars/" in said
    assert "`alphawire models use moving --back`" in said
    assert CliRunner().invoke(cli, ["models", "use", NAME, "--back", "-c", str(file), "--wait", "0"]).exit_code == 0
    asyncio.run(produce_bars(config.kafka, BARS.iloc[SIZE : 2 * SIZE]))
    with WorkerProcess(file) as worker:
        wait_for(lambda: signals() == 2 * SIZE or worker.process.poll() is not None)
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "use", NAME], "name the artifact, or say --back"),
        (["models", "use", NAME, "../x"], "is no artifact's name"),
        (["models", "use", NAME, "nowhere"], "give its --sha256"),
        (["models", "use", "other", "b"], "there is no strategy 'other'"),
        (["pause", "other"], "there is no strategy 'other'"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    tmp_path: Path, models: dict[str, str], words: list[str], said: str
) -> None:
    file = tmp_path / "none.yaml"
    write_config(file, "localhost:1", "none.", {NAME: modelled(tmp_path / "models")})
    done = CliRunner().invoke(cli, [*words, "-c", str(file)])
    assert said in f"{done.output} {done.exception}"


def test_the_artifacts_beside_the_configured_one_are_listed(tmp_path: Path, models: dict[str, str]) -> None:
    file = tmp_path / "list.yaml"
    write_config(file, "localhost:1", "list.", {NAME: modelled(tmp_path / "models")})
    done = CliRunner().invoke(cli, ["models", "list", NAME, "-c", str(file), "--json"])
    listed = json.loads(done.stdout)
    assert {one["artifact"]: one["sha256"] for one in listed} == models
    assert [one["artifact"] for one in listed if one["configured"]] == ["a"]
    assert {one["in_force"] for one in listed} == {None}
    assert done.stderr.startswith("what is in force is not known: no Kafka broker answers at localhost:1")


def applied(sha256: str, partition: int, offset: int) -> bytes:
    """As a worker says it, with the fields that the first of them wrote."""
    model = {"key": "ml.lightgbm", "sha256": sha256}
    return json.dumps(
        {
            "kind": "applied", "strategy": NAME, "topic": "force.bars", "partition": partition, "offset": offset,
            "origin": {"partition": partition, "offset": 0}, "publish_from": 0,
            "config_hash": "0" * 16, "config": {}, "model": model,
        }
    ).encode()  # fmt: skip


def test_what_is_in_force_is_marked(tansu: TansuBroker, tmp_path: Path, models: dict[str, str]) -> None:
    """Of each partition the newest counts; a model of which there is no artifact here is told; a strategy of another
    name and partitions without a worker are nothing.
    """
    file = tmp_path / "force.yaml"
    write_config(file, tansu.bootstrap, "force.", {NAME: modelled(tmp_path / "models")})
    file.write_text(file.read_text().replace("partitions: 2", "partitions: 4"))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))

    def listed() -> tuple[dict[str, list[int]], str, list[str]]:
        words = ["models", "list", NAME, "-c", str(file)]
        done = CliRunner().invoke(cli, [*words, "--json"])
        plain = CliRunner().invoke(cli, words)
        return (
            {one["artifact"]: one["in_force"] for one in json.loads(done.stdout)},
            done.stderr,
            plain.stdout.split("\n"),
        )

    assert listed()[0] == {"a": [], "b": [], "c": []}
    for sha256, partition, offset in (
        (models["a"], 0, 0), (models["a"], 1, 0), (models["b"], 1, 7), ("f" * 64, 2, 0),
    ):  # fmt: skip
        asyncio.run(foreign(config, applied(sha256, partition, offset), partition))
    places, errors, lines = listed()
    assert places == {"a": [0], "b": [1], "c": []}
    assert errors == "in force on partition 2: the model ffffffffffff, which is not here\n"
    assert [line.partition(" in force on ")[2] for line in lines[:3]] == ["partition 0", "partition 1", ""]
