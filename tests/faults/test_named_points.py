"""Workers that die at named places of their own code; what readers of committed signals see is an undisturbed run's."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from backtest.verify.verify import verify
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from schemas.wire import Signal, Use
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import Broker, TansuBroker
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics
from streams.process.failpoints import (
    NAMES,
    OF_CLOCK,
    OF_CROSS_SECTIONS,
    OF_LEFT_OUT,
    OF_NEWS,
    OF_REFERENCES,
    OF_REGISTRY,
    OF_SWAPS,
    TRANSACTIONAL,
    Armed,
    armed,
)
from streams.recovery.inspection import rebuild
from streams.recovery.leave_out import endings, leave_out
from streams.recovery.state import decode_applied, load
from streams.requests.control_topic import answers, send
from tests.support.live import (
    WorkerProcess,
    digest,
    minute_bars,
    records,
    run_to_end,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)
from tests.support.scores import FEATURES_OF_NEWS as NEWS
from tests.support.scores import scored, send_scores, with_section
from tests.support.swaps import ARTIFACTS, NAME, demanded_faults, modelled, save_model

STRATEGIES = {"demo": strategy(), "other": strategy(features=["technical.rsi"])}
OTHERS = (*OF_SWAPS, *OF_CROSS_SECTIONS, *OF_NEWS, *OF_REFERENCES, *OF_CLOCK, *OF_LEFT_OUT, *OF_REGISTRY)
WITHOUT_TRANSACTIONS = [name for name in NAMES if name not in (*TRANSACTIONAL, *OTHERS)]
WITH_TRANSACTIONS = [name for name in NAMES if name not in ("after_marker", *OTHERS)]


def die_at(
    config: Path, point: str, count: int, seconds: float = 40.0, meanwhile: Callable[[], object] | None = None
) -> None:
    """One worker that kills itself there; `meanwhile` happens once it has its partitions."""
    log = config.with_suffix(".log")
    before = len(log.read_text()) if log.exists() else 0
    os.environ["ALPHAWIRE_FAILPOINTS"] = f"{point}={count}"
    try:
        with WorkerProcess(config) as worker:
            if point == "in_revoke":
                wait_for(lambda: "restored in" in log.read_text()[before:], seconds)
                worker.process.terminate()
            if meanwhile:
                wait_for(lambda: "restored in" in log.read_text()[before:], seconds)
                meanwhile()
            wait_for(lambda: worker.process.poll() is not None, seconds)
            assert worker.process.returncode == -9, f"{point}: ended with {worker.process.returncode}"
    finally:
        del os.environ["ALPHAWIRE_FAILPOINTS"]


def through_faults(folder: Path, broker: Broker, points: list[str], bars_count: int) -> Config:
    bars = minute_bars(bars_count)
    calm = folder / "calm.yaml"
    oracle = write_config(calm, broker.bootstrap, f"{folder.name}-calm.", STRATEGIES)
    topics_and_bars(oracle, bars)
    run_to_end(calm, oracle, len(STRATEGIES) * len(bars))
    file = folder / "faults.yaml"
    config = write_config(file, broker.bootstrap, f"{folder.name}-faults.", STRATEGIES, chunk=50)
    asyncio.run(create_topics(config.kafka))
    for point, part in zip(points, np.array_split(np.arange(len(bars)), len(points)), strict=True):
        asyncio.run(produce_bars(config.kafka, bars.iloc[part]))
        if point == "in_catch_up":
            with WorkerProcess(file) as worker:
                wait_for(lambda: has_rounds(config))
                assert worker.stop() == 0
            wait_for(lambda: lost_states(config))
        die_at(file, point, count=3 if point.endswith("chunk") else 1)
    run_to_end(file, config, len(STRATEGIES) * len(bars))
    assert digest(config) == digest(oracle)
    for name in STRATEGIES:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert verdict.unpublished == 0
    return config


def through_swaps(folder: Path, broker: Broker) -> Config:
    """The points of a swap are come to when a model is wished for: at once, or from the time of a bar that comes."""
    bars, part, file = minute_bars(600), 100, folder / "swaps.yaml"
    models = {name: save_model(folder / "models" / name, seed) for seed, name in enumerate(ARTIFACTS)}
    config = write_config(file, broker.bootstrap, f"{folder.name}-swaps.", {NAME: modelled(folder / "models")})
    topics_and_bars(config, bars.iloc[:part])
    done = part
    for number, (point, at_once) in enumerate(itertools.product(OF_SWAPS, (True, False))):
        time = None if at_once else int(bars["close_time"].iloc[done + part // 2])
        artifact = ARTIFACTS[(1 + number) % 3]  # never what is in force already
        wish = Use(f"w{number}", NAME, artifact, models[artifact], time)

        def wished_for(wish: Use = wish, some: pd.DataFrame = bars.iloc[done : done + part]) -> None:
            offset = asyncio.run(send(config.kafka, wish))
            if wish.from_time is not None:  # heard before the bars come
                asyncio.run(answers(config.kafka, wish, offset, 1, 30.0))
            asyncio.run(produce_bars(config.kafka, some))

        die_at(file, point, 1, seconds=90.0, meanwhile=wished_for)
        done += part
    asyncio.run(produce_bars(config.kafka, bars.iloc[done:]))
    run_to_end(file, config, len(bars))
    applied = [entry for record in records(config, "control") if (entry := decode_applied(record.value))]
    signals = [msgspec.json.decode(record.value, type=Signal) for record in records(config, "signals")]
    assert list(demanded_faults(applied, signals)) == []
    assert {entry.artifact for entry in applied} >= {"a", "b"}  # those of the deaths after a switch
    verdict = verify(config, NAME)
    assert verdict.ok, verdict.differences[:3]
    assert (verdict.equal, verdict.unpublished) == (len(bars), 0)
    return config


def through_cross_sections(folder: Path, broker: Broker) -> Config:
    """What a kill leaves undone is closed, and decided, by the next worker as the log says; predicted too, where
    features of the cross-section come first.
    """
    bars, file = minute_bars().sort_values(["close_time", "symbol"], kind="stable").iloc[:600], folder / "ranked.yaml"
    ranked = strategy(
        signal={"key": "signal.ranking", "top_n": 1, "bottom_n": 1},
        universe=sorted(bars["symbol"].unique()), cross_section={"grace": 0.5},
    )  # fmt: skip
    section = {"features": ["technical.rsi", {"section.zscore": {"column": "rsi"}}], "prediction": "rsi.zscore"}
    strategies = {"ranked": ranked, "predicted": ranked | section}
    config = write_config(file, broker.bootstrap, f"{folder.name}-ranked.", strategies, chunk=50)
    asyncio.run(create_topics(config.kafka))
    points = [*OF_CROSS_SECTIONS, "after_send", "mid_chunk"]
    for point, part in zip(points, np.array_split(np.arange(len(bars)), len(points)), strict=True):
        asyncio.run(produce_bars(config.kafka, bars.iloc[part]))
        once = point in ("in_gathered_load", "after_gathered")  # all that can be closed may go in one write
        die_at(file, point, count=1 if once else 3, seconds=90.0)
    run_to_end(file, config, len(strategies) * len(bars))
    for name in strategies:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (len(bars), 0)
    return config


def through_the_future(folder: Path, broker: Broker) -> Config:
    """Bars of another century are refused once, whichever worker dies of it, and every symbol goes on."""
    bars, file = minute_bars(400), folder / "future.yaml"
    far = bars.drop_duplicates("symbol").assign(open_time=4_900_000_020_000, close_time=4_900_000_080_000)
    config = write_config(file, broker.bootstrap, f"{folder.name}-future.", STRATEGIES, chunk=50)
    topics_and_bars(config, bars.iloc[:200])
    asyncio.run(produce_bars(config.kafka, far))
    die_at(file, "after_refused", 1)
    asyncio.run(produce_bars(config.kafka, bars.iloc[200:]))
    run_to_end(file, config, len(STRATEGIES) * len(bars))
    for name in STRATEGIES:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (len(bars), 0)
    return config


def through_leaving_out(folder: Path, broker: Broker) -> Config:
    """Bars of another century were taken, and end their symbols. They are left out, whichever worker dies before it
    says so, or while it folds its states without them; then every symbol goes on.
    """
    bars, file = minute_bars(400), folder / "ended.yaml"
    far = bars.drop_duplicates("symbol").assign(open_time=4_900_000_020_000, close_time=4_900_000_080_000)
    settings = {"chunk": 50, "clock_tolerance": None}
    config = write_config(file, broker.bootstrap, f"{folder.name}-ended.", STRATEGIES, **settings)
    topics_and_bars(config, bars.iloc[:200])
    asyncio.run(produce_bars(config.kafka, far))
    run_to_end(file, config, len(STRATEGIES) * (200 + len(far)))
    asyncio.run(produce_bars(config.kafka, bars.iloc[200:300]))
    ready = [ready_strategy(name, config.strategy(name)) for name in STRATEGIES]
    for symbol in far["symbol"]:
        (ending,) = asyncio.run(endings(KafkaLog(config.kafka), symbol))
        asyncio.run(leave_out(config.kafka, ready, symbol, [(ending.partition, ending.offset)]))
    for point in (*OF_LEFT_OUT, "in_silent_fold"):
        die_at(file, point, 1)
    asyncio.run(produce_bars(config.kafka, bars.iloc[300:]))
    run_to_end(file, config, len(STRATEGIES) * (len(bars) + len(far)))
    for name in STRATEGIES:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (len(bars) + len(far), 0)
    return config


def through_news(folder: Path, broker: Broker) -> Config:
    """Bars come that no mark covers: each worker dies while they wait, or when they are decided without news."""
    bars, file = minute_bars(600), folder / "news.yaml"
    write_config(file, broker.bootstrap, f"{folder.name}-news.", {"plain": strategy(), "news": strategy(**NEWS)})
    config, scores = with_section(file, grace=0.3), scored(bars)
    asyncio.run(create_topics(config.kafka))
    send_scores(config, scores.iloc[:50], int(scores["available_at"].iloc[49]))
    for point, part in zip(OF_NEWS, np.array_split(np.arange(500), len(OF_NEWS)), strict=True):
        asyncio.run(produce_bars(config.kafka, bars.iloc[part]))
        die_at(file, point, 1, seconds=90.0)
    send_scores(config, scores.iloc[50:], int(bars["close_time"].iloc[-1]))
    asyncio.run(produce_bars(config.kafka, bars.iloc[500:]))
    run_to_end(file, config, 2 * len(bars))
    for name in config.strategies:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (len(bars), 0)
    return config


def through_references(folder: Path, broker: Broker) -> Config:
    """Each worker dies while it reads or copies references, or while bars wait for one that never comes."""
    bars, file = minute_bars(600), folder / "references.yaml"
    beside = strategy(features=["technical.rsi", {"relative.return": {"window": 5, "with": "SPY"}}])
    strategies = {"plain": strategy(), "beside": beside}
    config = write_config(file, broker.bootstrap, f"{folder.name}-beside.", strategies, reference_grace=0.3)
    asyncio.run(create_topics(config.kafka))
    halted = bars["symbol"].eq("SPY") & (np.arange(len(bars)) >= 250) & (np.arange(len(bars)) < 500)
    for point, part in zip(OF_REFERENCES, np.array_split(np.arange(500), len(OF_REFERENCES)), strict=True):
        asyncio.run(produce_bars(config.kafka, bars.iloc[part][~halted.iloc[part]]))
        die_at(file, point, 1, seconds=90.0)
    asyncio.run(produce_bars(config.kafka, bars.iloc[500:]))
    run_to_end(file, config, 2 * int((~halted).sum()))
    for name in config.strategies:
        verdict = verify(config, name)
        assert verdict.ok, verdict.differences[:3]
        assert (verdict.equal, verdict.unpublished) == (int((~halted).sum()), 0)
    return config


def has_rounds(config: Config) -> bool:
    """Each partition has a whole round of snapshots."""
    markers = [asyncio.run(load(KafkaLog(config.kafka), number)).marker for number in range(config.kafka.partitions)]
    return all(marker is not None and marker.floor is not None for marker in markers)


def lost_states(config: Config) -> bool:
    """One strategy's snapshots are taken off the log, once the killed worker is out of the group."""
    try:
        return bool(asyncio.run(rebuild(config.kafka, "other")))
    except ConfigurationError:
        return False


def test_failpoints_are_named() -> None:
    found = armed({"ALPHAWIRE_FAILPOINTS": "mid_chunk=3,in_load=2:stop, after_send:delay=0.5"})
    assert found == {"mid_chunk": Armed(3), "in_load": Armed(2, "stop"), "after_send": Armed(1, "delay", 0.5)}
    with pytest.raises(ValueError, match="no failpoint mid_chnk; there is: after_fetch"):
        armed({"ALPHAWIRE_FAILPOINTS": "mid_chnk"})
    with pytest.raises(ValueError, match="a failpoint cannot sleep; it can: kill"):
        armed({"ALPHAWIRE_FAILPOINTS": "mid_chunk=1:sleep=3"})


@pytest.mark.slow
def test_every_point_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_faults(tmp_path, tansu, WITHOUT_TRANSACTIONS, 6_000)


@pytest.mark.slow
def test_every_point_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_faults(tmp_path, kafka, WITH_TRANSACTIONS, 6_000)
    ids = Counter(record.value[:60] for record in records(config, "signals"))
    assert max(ids.values()) == 1, "a signal is committed twice"


@pytest.mark.nightly
def test_every_point_of_news_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_news(tmp_path, tansu)


@pytest.mark.slow
def test_every_point_of_news_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_news(tmp_path, kafka)
    assert len(records(config, "signals")) == 1_200, "a signal is committed twice"


@pytest.mark.nightly
def test_every_point_of_references_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_references(tmp_path, tansu)


@pytest.mark.slow
def test_every_point_of_references_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_references(tmp_path, kafka)
    found = [record.value[:60] for record in records(config, "signals")]
    assert len(found) == len(set(found)), "a signal is committed twice"


@pytest.mark.nightly
def test_every_point_of_a_swap_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_swaps(tmp_path, tansu)


@pytest.mark.slow
def test_every_point_of_a_swap_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_swaps(tmp_path, kafka)
    assert len(records(config, "signals")) == 600, "a signal is committed twice"


@pytest.mark.nightly
def test_every_point_of_a_cross_section_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_cross_sections(tmp_path, tansu)


@pytest.mark.slow
def test_every_point_of_a_cross_section_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_cross_sections(tmp_path, kafka)
    assert len(records(config, "signals")) == 1_200, "a signal is committed twice"


@pytest.mark.nightly
def test_bars_that_are_left_out_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_leaving_out(tmp_path, tansu)


@pytest.mark.slow
def test_bars_that_are_left_out_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_leaving_out(tmp_path, kafka)
    far = minute_bars(400)["symbol"].nunique()
    assert len(records(config, "signals")) == len(STRATEGIES) * (400 + far), "a signal is committed twice"


@pytest.mark.nightly
def test_bars_of_the_future_without_transactions(tmp_path: Path, tansu: TansuBroker) -> None:
    through_the_future(tmp_path, tansu)


@pytest.mark.slow
def test_bars_of_the_future_with_transactions(tmp_path: Path, kafka: Broker) -> None:
    config = through_the_future(tmp_path, kafka)
    assert len(records(config, "signals")) == 800, "a signal is committed twice"
