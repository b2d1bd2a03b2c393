"""``--offsets``: bars of a partition from one offset up to another; the state begins at its origin all the same."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.replay.replay import replay
from backtest.sources.offsets import parse_offsets
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import encode
from streams.archive.writer import archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.log import KafkaLog
from tests.support.live import minute_bars, topics_and_bars, write_config

BARS = minute_bars(400)


@pytest.fixture(scope="module")
def config(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = write_config(tmp_path_factory.mktemp("offsets") / "a.yaml", tansu.bootstrap, "offsets.")
    topics_and_bars(config, BARS)
    return config


def test_a_range_of_each_partition(config: Config, tmp_path: Path) -> None:
    whole = replay(config, "demo", "kafka")
    sizes = {number: sum(signal.provenance.partition == number for signal in whole.raw) for number in (0, 1)}
    first, second = sorted(sizes, key=lambda number: -sizes[number])
    last = sizes[second] - 15
    wanted = [
        encode(signal)
        for signal in whole.raw
        if (signal.provenance.partition == first and 50 <= signal.provenance.offset < 80)
        or (signal.provenance.partition == second and signal.provenance.offset >= last)
    ]
    assert len(wanted) == 45
    offsets = parse_offsets(f"{first}:50-80,{second}:{last}-")
    asyncio.run(archive(KafkaLog(config.kafka), tmp_path / "history"))
    for source in ("kafka", str(tmp_path / "history")):
        some = replay(config, "demo", source, offsets=offsets)
        assert [encode(signal) for signal in some.raw] == wanted
        assert len(some.bars) == len(wanted)
        assert some.bars["close_time"].is_monotonic_increasing


def test_the_command(config: Config, tmp_path: Path) -> None:
    file, out = tmp_path / "a.yaml", tmp_path / "signals.jsonl"
    write_config(file, config.kafka.bootstrap, "offsets.")
    done = CliRunner().invoke(cli, ["replay", "demo", "--offsets", "0:5-25", "--out", str(out), "-c", str(file)])
    assert done.output == f"20 signals of 20 bars written to {out}\n"
    offsets = [json.loads(line)["provenance"]["offset"] for line in out.read_text().splitlines()]
    assert offsets == list(range(5, 25))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5-10", "write PARTITION:FIRST-STOP"),
        ("0:10", "write PARTITION:FIRST-STOP"),
        ("0:7-7", "the range is empty: it goes up to, not including, 7"),
        ("0:1-2,0:4-5", "partition 0 is there twice"),
    ],
)
def test_what_is_no_range_is_told(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_offsets(text)


def test_a_range_that_is_not_there_is_told(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="bars has 2 partitions, from 0 on"):
        replay(config, "demo", "kafka", offsets={4: range(5)})
    with pytest.raises(ConfigurationError, match=r"bars/0 holds offsets 0 to \d+$"):
        replay(config, "demo", "kafka", offsets={0: range(9_000, sys.maxsize)})
    BARS.to_parquet(tmp_path / "bars.parquet", index=False)
    with pytest.raises(ConfigurationError, match="is a file, which has no partitions; use --from and --to"):
        replay(config, "demo", str(tmp_path / "bars.parquet"), offsets={0: range(5)})
