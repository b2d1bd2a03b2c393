"""A strategy that ranks a universe by its news, on Apache Kafka: killed while it holds bars back for the scorer."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from backtest.explain.explain import explain_many
from backtest.verify.verify import verify
from schemas.wire import Signal
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.topics import create_topics
from tests.streams.test_cross_sections_live import closings, in_time, ranking
from tests.support.live import SignalCount, WorkerProcess, records, run_to_end, wait_for, write_config
from tests.support.scores import FEATURES_OF_NEWS, scored, send_scores, with_section

EVERY = in_time(3_000)
SYMBOLS = sorted(EVERY["symbol"].unique())
BARS = EVERY[EVERY.groupby("close_time")["symbol"].transform("size") == len(SYMBOLS)].iloc[: 60 * len(SYMBOLS)]
TIMES = sorted(BARS["close_time"].unique().tolist())
MIDDLE = TIMES[len(TIMES) // 2]


@pytest.mark.slow
def test_a_kill_between_two_marks_changes_nothing(tmp_path: Path, kafka: ApacheKafkaBroker) -> None:
    """Half of the bars can be ranked when it is killed; the scorer is there again for its successor."""
    file, scores = tmp_path / "ranked.yaml", scored(BARS)
    ranked = FEATURES_OF_NEWS | {name: ranking(SYMBOLS)[name] for name in ("signal", "universe", "cross_section")}
    write_config(file, kafka.bootstrap, f"{tmp_path.name}.", {"ranked": ranking(SYMBOLS) | ranked})
    config = with_section(file, grace=100.0)
    asyncio.run(create_topics(config.kafka))
    asyncio.run(produce_bars(config.kafka, BARS))
    send_scores(config, scores[scores["available_at"] <= MIDDLE], MIDDLE)
    signals, half = SignalCount(config), int((BARS["close_time"] <= MIDDLE).sum())
    with WorkerProcess(file) as worker:
        wait_for(lambda: worker.process.poll() is not None or signals() >= half // 2)
        worker.kill()
    assert half // 2 <= signals() <= half
    send_scores(config, scores[scores["available_at"] > MIDDLE], TIMES[-1])
    run_to_end(file, config, len(BARS))

    found = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    assert len(found) == len(BARS)  # each once: they are in transactions with their markers
    assert [closing.time for closing in closings(config)] == TIMES
    ranks = [signal for signal in found if signal.content.reason.startswith("rank ")]
    assert len({signal.content.time > MIDDLE for signal in ranks}) == 2
    assert {signal.content.signal for signal in ranks} == {"BUY", "SELL", "FLAT"}
    with_news = [signal for signal in ranks if signal.provenance.news_offset is not None]
    assert len({signal.content.prediction for signal in with_news}) > len(with_news) // 2
    verdict = verify(config, "ranked")
    assert verdict.ok, verdict.differences[:3] or verdict.not_reproducible
    assert (verdict.equal, verdict.unpublished, verdict.open) == (len(BARS), 0, 0)
    (told,) = explain_many(config, [with_news[-1].content.id])
    assert told.reproduced
    assert told.section is not None
    assert told.section["ranked"] == sum(symbol["prediction"] is not None for symbol in told.section["symbols"])
