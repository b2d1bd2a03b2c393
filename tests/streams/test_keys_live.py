"""Producers that place keys otherwise than they should, on real brokers: what becomes of the bars, and who says so."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.replay.replay import replay_file
from backtest.verify.verify import verify
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, load_config
from schemas.wire import Bar, Signal, encode
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker, TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import create_topics, topic_name
from tests.support.live import SignalCount, WorkerProcess, minute_bars, records, strategy, wait_for, write_config

BARS = minute_bars(240)


def changed(file: Path, **kafka: Any) -> Config:
    """The configuration with other settings of Kafka."""
    settings = yaml.safe_load(file.read_text())
    settings["kafka"] |= kafka
    file.write_text(yaml.safe_dump(settings))
    return load_config(file)


def ask(*words: Any) -> tuple[int, Any]:
    """Exit code and answer of a command with ``--json``."""
    result = CliRunner().invoke(cli, [*map(str, words), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.strip() else result.exception


def contents(config: Config) -> list[bytes]:
    return sorted(encode(msgspec.json.decode(r.value, type=Signal).content) for r in records(config, "signals"))


def whole(config: Config, folder: Path) -> list[bytes]:
    """The decisions about all bars, from a file, which has no partitions."""
    BARS.to_parquet(folder / "bars.parquet")
    ready = ready_strategy("demo", config.strategy("demo"))
    return sorted(encode(signal.content) for signal in replay_file(ready, str(folder / "bars.parquet")).raw)


def test_a_wrong_partitioner_is_mended(broker: Broker, tmp_path: Path) -> None:
    """As the docs say: another partitioner, a restart, and the letters go back. Then all is as if it had been right."""
    file, prefix = tmp_path / "a.yaml", f"mended-{broker.kind}."
    # without states in between all is folded again from the beginning
    states = {"snapshot_interval": 0.3 if broker.kind == "kafka" else 3600}
    config = write_config(file, broker.bootstrap, prefix, {"demo": strategy(interval="1m")}, **states)
    config = changed(file, partitioner="crc32", partitions=4)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, BARS))
    config = changed(file, partitioner="murmur2")
    here = [
        symbol for symbol in BARS["symbol"]
        if len({partition_of(symbol.encode(), 4, kind) for kind in ("murmur2", "crc32")}) == 1
    ]  # fmt: skip
    assert 0 < len(here) < len(BARS)
    signals = SignalCount(config)
    letters = len(BARS) - len(here)
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or len(records(config, "dead-letters")) == letters)
        wait_for(lambda: worker.process.poll() is not None or signals() == len(here))
        assert worker.stop() == 0
    assert verify(config, "demo").ok
    config = changed(file, partitioner="crc32")
    code, answer = ask("dead-letters", "replay", "--error", "wrong_partition", "-c", file)
    assert (code, answer["replayed"]) == (1, [])
    assert "murmur2 is in force on" in answer["refused"][0]["reason"]
    with WorkerProcess(file) as worker:
        wait_for(worker.ready)
        code, answer = ask("dead-letters", "replay", "--error", "wrong_partition", "-c", file)
        assert (code, len(answer["replayed"])) == (0, letters)
        wait_for(lambda: worker.process.poll() is not None or signals() == len(BARS))
        assert worker.stop() == 0
    assert contents(config) == whole(config, tmp_path)
    verdict = verify(config, "demo")
    assert (verdict.ok, verdict.equal, verdict.scattered) == (True, len(BARS), None), verdict.differences[:2]
    assert "crc32 says which symbols belong here from offset" in file.with_suffix(".log").read_text()
    archived(file, tmp_path / "archive")


def archived(file: Path, folder: Path) -> None:
    """An archive of it agrees, and so do a backtest's bars."""
    assert ask("archive", "--out", folder, "-c", file)[0] == 0
    code, verdict = ask("verify", "demo", "--source", folder, "-c", file)
    assert (code, verdict["equal"]) == (0, len(BARS))
    code, summary = ask("backtest", "demo", "--source", folder, "--out", folder.with_name("run"), "-c", file)
    assert (code, summary["bars"], summary["signals"]) == (0, len(BARS), len(BARS))


async def round_robin(config: Config) -> None:
    """As a client that ignores the key."""
    names = ["symbol", "interval", "open_time", "close_time", "open", "high", "low", "close", "volume"]
    async with open_producer(config.kafka) as producer:
        for number, row in enumerate(BARS.assign(interval="1m")[names].to_dict("records")):
            value = encode(msgspec.convert({str(name): value for name, value in row.items()}, Bar))
            topic, key = topic_name(config.kafka, "bars"), str(row["symbol"]).encode()
            await producer.send(topic, value, key, number % config.kafka.partitions, timestamp_ms=row["close_time"])
        await producer.flush()


def page(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_keys_that_are_spread_over_partitions_are_told(tansu: TansuBroker, tmp_path: Path) -> None:
    """By each of two workers that own one partition each, and by all that read the log."""
    file, ports = tmp_path / "spread.yaml", [free_port(), free_port()]
    write_config(file, tansu.bootstrap, "spread.", {"demo": strategy()}, http=True)
    config = changed(file, partitioner="as_is")
    asyncio.run(create_topics(config.kafka))
    signals = SignalCount(config)
    logs = [tmp_path / f"{number}.log" for number in (0, 1)]
    first, second = (WorkerProcess(file, "--http-port", str(p), log=log) for p, log in zip(ports, logs, strict=True))
    with first, second:
        wait_for(lambda: all(owned(port) == 1 for port in ports))
        asyncio.run(round_robin(config))
        for port in ports:
            scattered = wait_for(lambda port=port: page(port, "/status")[1]["scattered"])
            assert all(numbers == [0, 1] for numbers in scattered.values())
            code, answer = page(port, "/health/ready")
            assert (code, "more than one partition of spread.bars" in answer["failed"]["symbols"]) == (503, True)
        wait_for(lambda: signals() == len(pd.unique(BARS["symbol"] + BARS["close_time"].astype(str))))
        assert (first.stop(), second.stop()) == (0, 0)
    assert all("more than one partition of spread.bars" in log.read_text() for log in logs)
    told(file, tmp_path)


def owned(port: int) -> int:
    try:
        return len(page(port, "/status")[1]["partitions"])
    except (OSError, ValueError):
        return 0


def told(file: Path, folder: Path) -> None:
    code, verdict = ask("verify", "demo", "-c", file)
    assert (code, verdict["ok"], verdict["differences"]) == (1, False, [])
    assert "Murmur2Balancer" in verdict["scattered"]
    code, answer = ask("replay", "demo", "--out", folder / "signals.jsonl", "-c", file)
    assert (code, answer["scattered"]) == (1, verdict["scattered"])
    code, answer = ask("backtest", "demo", "--out", folder / "run", "-c", file)
    assert (code, answer["scattered"]) == (1, verdict["scattered"])
    published = msgspec.json.decode(records(load_config(file), "signals")[0].value, type=Signal).content
    code, answer = ask("explain", published.id, "-c", file)
    assert (code, answer["reproduced"]) == (1, True)
    assert (
        f"1 of the symbols have bars on more than one partition of spread.bars ({published.symbol} on 0, 1)"
        in (answer["scattered"])
    )
    assert verdict["scattered"] in (folder / "run" / "report.html").read_text().replace("&#x27;", "'")
