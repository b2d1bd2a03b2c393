"""Trades become bars and bars signals, live; then it is asked of the log, and of an archive, whether and why."""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from schemas.configuration import load_config
from schemas.wire import decode_bar
from schemas.wire.trades import Trade
from streams.kafka.brokers import Broker
from streams.kafka.topics import create_topics
from tests.streams.test_trades_killed import MINUTE, START, send, start
from tests.support.deadlines import deadline
from tests.support.live import WorkerProcess, records, strategy, wait_for

COUNT, EACH = 200, 7.0
TOPICS = ("bars", "control", "trades", "trades.state")


def trades() -> list[Trade]:
    """One a second, of size 7: every third closes a bar of `volume:20`."""
    return [Trade("BTC/USD", START + 1_000 * n, 100.0 + n % 5, EACH, str(n), "buy") for n in range(COUNT)]


def ask(*words: str, file: Path) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli, [*words, "-c", str(file), "--json"], standalone_mode=False)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.return_value or done.exit_code, json.loads(done.stdout)


def test_from_trades_to_a_verified_signal(tansu: Broker, tmp_path: Path) -> None:
    kafka = {"bootstrap": tansu.bootstrap, "prefix": "bars-live.", "session_timeout": 2.0, "partitions": 2}
    by_volume = strategy(interval="volume:2e1", valid_for="10m", features=[{"technical.rsi": {"period": 3}}])
    worker = {"http": False, "snapshot_interval": 0.3, "commit_interval": 0.05}
    made = {"bars": ["1m", "volume:20"], "grace": 3600}
    file = tmp_path / "live.yaml"
    sections = {"kafka": kafka, "worker": worker, "trades": made, "strategies": {"by_volume": by_volume}}
    file.write_text(yaml.safe_dump(sections))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(send(config, trades()))
    builder = start(file)
    try:
        with WorkerProcess(file, log=tmp_path / "worker.log") as working:
            wait_for(lambda: len(records(config, "signals")) >= COUNT // 3)
            assert working.stop() == 0
    finally:
        builder.terminate()
        assert builder.wait(deadline(60)) == 0
    bars = [decode_bar(record.value) for record in records(config, "bars")]
    assert sum(bar.interval == "volume:20" for bar in bars) == COUNT // 3
    assert sum(bar.interval == "1m" for bar in bars) == (COUNT - 1) // 60
    code, verdict = ask("verify", "by_volume", file=file)
    assert (code, verdict["ok"]) == (0, True)
    archive = str(tmp_path / "archive")
    code, _ = ask("archive", "--out", archive, *(word for topic in TOPICS for word in ("--topic", topic)), file=file)
    assert code == 0
    for source in ("kafka", archive):
        code, verdict = ask("bars", "--verify", "--source", source, file=file)
        assert (code, verdict["equal"]) == (0, len(bars))
        code, told = ask("bars", "--explain", f"BTC/USD/volume:2e1/{START + 3_000}", "--source", source, file=file)
        assert (code, told["published"]) == (0, True)
        assert [(trade["id"], trade["size"], trade["side"]) for trade in told["trades"]] == [
            (name, EACH, "buy") for name in ("3", "4", "5")
        ]
        assert ([trade["offset"] for trade in told["trades"]], told["closed_by"]) == ([3, 4, 5], 5)
        code, told = ask("bars", "--explain", f"BTC/USD/1m/{START + MINUTE}", "--source", source, file=file)
        assert [trade["id"] for trade in told["trades"]] == [str(n) for n in range(60, 120)]
        assert (code, told["closed_by"]) == (0, 120)
