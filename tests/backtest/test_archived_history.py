"""Replay, verify, explain, backtest and training give the same from an archive as from the topics."""

import asyncio
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.explain.explain import explain_many
from backtest.replay.replay import replay
from backtest.sources.bars import topic_bars
from backtest.sources.log import require_log
from backtest.verify.verify import verify
from schemas.errors import ConfigurationError
from schemas.wire import encode
from streams.archive.parquet_log import read_kept
from streams.archive.writer import DEFAULT, archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.log import KafkaLog
from tests.backtest.test_verify import work
from tests.support.live import minute_bars, strategy, topics_and_bars, write_config

BARS = minute_bars(800)


def test_a_replay_of_the_archive_gives_the_same_bytes(tansu: TansuBroker, tmp_path: Path) -> None:
    config = write_config(tmp_path / "a.yaml", tansu.bootstrap, "kept.")
    topics_and_bars(config, BARS)
    folder = str(tmp_path / "history")
    asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "history", DEFAULT, size=150))
    # what comes later is not in the archive, and the prefix is the archive's
    from_topic, from_archive = replay(config, "demo", "kafka"), replay(config, "demo", folder)
    assert [encode(signal) for signal in from_archive.raw] == [encode(signal) for signal in from_topic.raw]
    assert len(from_archive.raw) == len(BARS)
    assert not from_archive.gaps
    pd.testing.assert_frame_equal(from_archive.bars, from_topic.bars)
    elsewhere = write_config(tmp_path / "b.yaml", "localhost:1", "other.")
    again = replay(elsewhere, "demo", folder)
    assert [encode(signal) for signal in again.raw] == [encode(signal) for signal in from_topic.raw]
    pd.testing.assert_frame_equal(
        topic_bars(require_log(elsewhere, folder), "1m"), topic_bars(KafkaLog(config.kafka), "1m")
    )
    with pytest.raises(ConfigurationError, match="is no archive of topics"):
        require_log(config, str(tmp_path))


def test_a_gap_is_told_and_not_passed_over(tansu: TansuBroker, tmp_path: Path) -> None:
    """The archive without its first two segments of a partition, and the command that replays it."""
    config = write_config(tmp_path / "a.yaml", tansu.bootstrap, "gap.")
    topics_and_bars(config, BARS)
    folder = tmp_path / "history"
    asyncio.run(archive(KafkaLog(config.kafka), folder, DEFAULT, size=150))
    kept = read_kept(folder / "bars", 1)
    kept.segments = kept.segments[2:]
    (folder / "bars" / "partition-1.json").write_bytes(encode(kept))
    result = replay(config, "demo", str(folder))
    assert result.gaps == ["gap.bars/1: offsets 0 to 299 hold no records (300)"]
    assert len(result.raw) == len(BARS) - 300
    arguments = ["replay", "demo", "--source", str(folder), "--out", str(tmp_path / "s.jsonl"), "--json"]
    done = CliRunner().invoke(cli, [*arguments, "-c", str(tmp_path / "a.yaml")])
    assert json.loads(done.stdout)["gaps"] == result.gaps
    assert "a gap in the log: gap.bars/1: offsets 0 to 299 hold no records (300)" in done.stderr


@pytest.mark.slow
def test_what_a_worker_published_is_verified_and_explained_from_the_archive(tansu: TansuBroker, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    changed = strategy(signal={"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0})
    config = write_config(file, tansu.bootstrap, "published.", {"demo": strategy()})
    topics_and_bars(config, BARS.iloc[:400])
    work(file, config, 400)
    config = write_config(file, tansu.bootstrap, "published.", {"demo": changed})
    topics_and_bars(config, BARS.iloc[400:])
    work(file, config, 800, log="second.log")
    asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "history", DEFAULT, size=150))
    away, history = write_config(file, "localhost:1", "other.", {"demo": changed}), str(tmp_path / "history")
    verdict = verify(away, "demo", source=history)
    assert verdict.ok, (verdict.not_reproducible, verdict.differences[:2])
    assert verdict.equal == 800
    replayed = replay(config, "demo", "kafka").raw
    assert all(one.reproduced for one in explain_many(away, [signal.content.id for signal in replayed], source=history))
