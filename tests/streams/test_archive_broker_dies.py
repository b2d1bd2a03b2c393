"""A broker that is killed while its first partition is archived: what was complete stays, and can be replayed."""

import asyncio
import time
from pathlib import Path

import pytest

from backtest.replay.replay import replay
from schemas.errors import BrokerError
from schemas.wire import encode
from streams.archive.parquet_log import read_kept
from streams.archive.writer import DEFAULT, archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.log import KafkaLog
from tests.support.live import minute_bars, topics_and_bars, write_config

BARS = minute_bars(2_000)
SIZE = 200


@pytest.mark.slow
def test_what_was_archived_before_the_broker_died_stays(tmp_path: Path) -> None:
    out = tmp_path / "history"
    with TansuBroker() as broker:
        config = write_config(tmp_path / "a.yaml", broker.bootstrap, "dies.")
        topics_and_bars(config, BARS)
        whole = replay(config, "demo", "kafka").raw
        sizes = [sum(signal.provenance.partition == partition for signal in whole) for partition in (0, 1)]

        def told(_more: int, _at_ms: int | None) -> None:
            broker.kill()

        began = time.monotonic()
        with pytest.raises(BrokerError, match=r"127.0.0.1:\d+"):
            asyncio.run(archive(KafkaLog(config.kafka), out, DEFAULT, told, SIZE))
        assert time.monotonic() - began < 60
    assert not list(out.rglob("*.part"))
    records = [read_kept(out / "bars", partition).records for partition in (0, 1)]
    assert 0 < records[0] <= sizes[0]
    assert records[1] == 0 < sizes[1]
    kept = [signal for signal in whole if signal.provenance.offset < records[signal.provenance.partition]]
    assert list(map(encode, replay(config, "demo", str(out)).raw)) == list(map(encode, kept))
