"""`alphawire state leave-out` on a real broker: the bar is found, asked for, left out, and every reader obeys. Expected
by hand: which bars have signals.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from backtest.explain.explain import explain_many
from backtest.replay.replay import replay
from backtest.sources.bars import topic_bars
from backtest.verify.verify import verify
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import decode_signal
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import TansuBroker
from streams.kafka.log import KafkaLog
from tests.support.live import minute_bars, records, run_to_end, topics_and_bars, write_config

FAR = 4_900_000_020_000
ENDED = "SPY"


def command(*words: str) -> Any:
    result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    with pytest.raises(ConfigurationError) as fault:
        CliRunner().invoke(cli, list(words), catch_exceptions=False)
    return str(fault.value)


def test_a_symbol_that_was_ended_goes_on(tansu: TansuBroker, tmp_path: Path) -> None:
    bars, file = minute_bars(300), tmp_path / "ended.yaml"
    assert ENDED in set(bars["symbol"])
    far = bars[bars["symbol"] == ENDED].iloc[:1].assign(open_time=FAR, close_time=FAR + 60_000)
    config = write_config(file, tansu.bootstrap, "leave-out.", clock_tolerance=None)
    topics_and_bars(config, bars.iloc[:100])
    asyncio.run(produce_bars(config.kafka, far))
    asyncio.run(produce_bars(config.kafka, bars.iloc[100:200]))
    late = int((bars.iloc[100:200]["symbol"] == ENDED).sum())
    run_to_end(file, config, 201 - late)
    (ending,) = json.loads(command("state", "leave-out", ENDED, "-c", str(file), "--json"))["endings"]
    assert (ending["open_time"], ending["interval"], ending["late"]) == (FAR, "1m", late)
    at = f"{ending['partition']}:{ending['offset']}"
    words = ("state", "leave-out", ENDED, "--at")
    assert "is a bar of SPY, not of AAPL" in refused("state", "leave-out", "AAPL", "--at", at, "-c", str(file))
    assert "write PARTITION:OFFSET" in refused(*words, "7", "-c", str(file))
    assert "holds offsets 0 to" in refused(*words, f"{ending['partition']}:99999", "-c", str(file))
    assert f"offset {ending['offset']} (SPY 1m) is left out" in command(*words, at, "-c", str(file))
    assert "is left out already" in refused(*words, at, "-c", str(file))
    asyncio.run(produce_bars(config.kafka, bars.iloc[200:]))
    run_to_end(file, config, 301 - late)
    obeyed(config, ending["partition"], ending["offset"], late)
    assert "no bar of SPY makes later ones late" in command("state", "leave-out", ENDED, "-c", str(file))


def obeyed(config: Config, partition: int, offset: int, late: int) -> None:
    verdict = verify(config, "demo")
    assert (verdict.ok, verdict.equal, verdict.unpublished) == (True, 301 - late, 0), verdict.differences[:3]
    signals = [decode_signal(record.value) for record in records(config, "signals")]
    by_offset = {s.provenance.offset: s for s in signals if s.provenance.partition == partition}
    newest = max((s for s in signals if s.content.symbol == ENDED), key=lambda s: s.provenance.offset)
    explained = explain_many(config, [by_offset[offset].content.id, newest.content.id])
    assert [one.reproduced for one in explained] == [True, True]
    assert offset not in [bar["offset"] for bar in explained[1].bars]
    assert len(replay(config, "demo", "kafka").raw) == 301 - late
    plain = replay(config, "demo", "kafka", as_configured=True)
    bars = topic_bars(KafkaLog(config.kafka), "1m")
    for frame in (plain.signals.rename(columns={"time": "close_time"}), plain.bars, bars):
        assert (len(frame), frame["close_time"].max() < FAR) == (300, True)
