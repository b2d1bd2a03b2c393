"""`verify` passes on what a worker wrote, and names what was altered, invented, repeated, or lies too far back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alphawire.commands.research.verify import describe
from backtest.replay.replay import replay
from backtest.verify.verdict import OUT_OF_ORDER, compare
from backtest.verify.verify import VerifyResult, verify
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.wire import Signal, encode
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import ApacheKafkaBroker, TansuBroker
from streams.kafka.clients import offset_range, open_admin, open_producer
from streams.kafka.topics import topic_name
from tests.support.live import (
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)
from tests.support.memory import bar, fetched, ready, undisturbed

BARS = minute_bars(400)
MIDDLE = int(BARS["close_time"].iloc[200])


QUIET = strategy(publish="changes", heartbeat="30m")
COUNTS = {
    "demo": len(BARS),
    "middle": int((BARS["close_time"] >= MIDDLE).sum()),
    "some": int(BARS["symbol"].isin(["IBM", "SPY"]).sum()),
    "quiet": len(undisturbed(fetched(BARS.to_dict("records")), [ready("quiet", **QUIET)])),
}


def work(file: Path, config: Config, count: int, log: str = "worker.log") -> str:
    """A worker until `count` signals are there; its log."""
    signals = SignalCount(config)
    with WorkerProcess(file, log=file.with_name(log)) as worker:
        wait_for(lambda: worker.process.poll() is not None or signals() >= count, 120, 0.5)
        assert worker.stop() == 0
    return file.with_name(log).read_text()


@pytest.fixture(scope="module")
def worked(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("verify") / "a.yaml"
    strategies = {
        "demo": strategy(),
        "middle": strategy(start=MIDDLE),
        "some": strategy(universe=["IBM", "SPY"], interval="1m"),
        "quiet": QUIET,
    }
    config = write_config(file, tansu.bootstrap, "verify.", strategies)
    topics_and_bars(config, BARS)
    work(file, config, sum(COUNTS.values()))
    return config


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_what_a_worker_wrote_is_what_a_replay_says(worked: Config, name: str, count: int) -> None:
    verdict = verify(worked, name)
    assert verdict.ok, verdict.differences[:2]
    assert (verdict.signals, verdict.equal, verdict.repeats, verdict.unpublished) == (count, count, 0, 0)
    assert describe(verdict).splitlines()[-1] == "verified: live is what replay says"


def test_of_a_strategy_that_publishes_changes_all_know_what_it_said(worked: Config) -> None:
    """Less than half of its bars have a signal: the same ones live, replayed and with the configuration of today."""
    live = [
        s
        for r in records(worked, "signals")
        if (s := msgspec.json.decode(r.value, type=Signal)).content.strategy == "quiet"
    ]
    replayed, configured = (replay(worked, "quiet", "kafka", as_configured=today) for today in (False, True))
    identities = sorted(signal.content.id for signal in live)
    assert identities == sorted(s.content.id for s in replayed.raw) == sorted(s.content.id for s in configured.raw)
    assert 0 < len(identities) < len(BARS) / 2
    assert {signal.content.silent_until - signal.content.time for signal in live} == {30 * 60_000}


def test_from_and_to_choose_what_is_compared(worked: Config) -> None:
    times = BARS["close_time"]
    start, end = int(times.iloc[100]), int(times.iloc[300])
    assert verify(worked, "demo", start, end).equal == int(((times >= start) & (times < end)).sum())
    assert verify(worked, "demo", offsets={0: range(10, 30)}).equal == 20


def test_a_strategy_that_never_ran_is_not_verified(worked: Config) -> None:
    from schemas.configuration import Strategy

    never = worked.model_copy(update={"strategies": {"never": Strategy.model_validate(strategy())}})
    verdict = verify(never, "never")
    assert not verdict.ok
    assert describe(verdict) == "not reproducible here: no worker has ever run strategy never on verify.bars"


def test_signals_are_compared_with_the_configuration_in_force(worked: Config) -> None:
    from schemas.configuration import Strategy

    changed = Strategy.model_validate(strategy(universe=["IBM"]))
    today = worked.model_copy(update={"strategies": {"demo": changed}})
    verdict = verify(today, "demo")
    assert verdict.ok
    assert verdict.equal == verdict.signals > 0
    assert verdict.other == verify_hash(worked)
    in_force, configured = (replay(today, "demo", "kafka", as_configured=told) for told in (False, True))
    assert (len(in_force.raw), in_force.other, in_force.lacking) == (len(BARS), verify_hash(worked), [])
    assert len(configured.raw) == int((BARS["symbol"] == "IBM").sum())


def test_a_replay_shows_the_bars_before_the_start_too(worked: Config) -> None:
    assert len(replay(worked, "middle", "kafka").raw) == len(BARS)


def verify_hash(config: Config) -> str:
    return ready_strategy("demo", config.strategy("demo")).config_hash


def test_what_ran_with_plugins_that_are_not_here_is_not_reproducible(
    worked: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugins.features.rsi import RSI

    was = verify_hash(worked)
    monkeypatch.setattr(RSI, "version", "99")
    verdict = verify(worked, "demo")
    assert not verdict.ok
    assert f"ran configuration {was} from offset 0 on, which cannot be made here" in (verdict.not_reproducible or "")


def put(config: Config, partition: int, value: bytes) -> None:
    async def run() -> None:
        async with open_producer(config.kafka) as producer:
            await producer.send_and_wait(topic_name(config.kafka, "signals"), value, b"?", partition)

    asyncio.run(run())


def test_what_was_altered_on_the_topic_is_found_and_named(worked: Config) -> None:
    """In this order, on one topic: a repeat, one altered signal, an invented one, and a record that is no signal."""
    record = next(r for r in records(worked, "signals") if b'"strategy":"some"' in r.value)
    signal = msgspec.json.decode(record.value, type=Signal)
    assert signal.content.strategy == "some"
    before = verify(worked, "some").equal
    put(worked, record.partition, record.value)
    verdict = verify(worked, "some")
    assert (verdict.ok, verdict.repeats, verdict.equal) == (True, 1, before)

    content = msgspec.structs.replace(signal.content, reason="altered", gap=77)
    put(worked, record.partition, encode(msgspec.structs.replace(signal, content=content)))
    verdict = verify(worked, "some")
    assert not verdict.ok
    assert [(d.kind, d.symbol, d.time, d.field, d.live) for d in verdict.differences] == [
        ("differs", signal.content.symbol, signal.content.time, "reason", "altered"),
        ("differs", signal.content.symbol, signal.content.time, "gap", 77),
    ]
    assert f"offset {signal.provenance.offset}): reason: live 'altered', replayed" in describe(verdict)

    content = msgspec.structs.replace(signal.content, id="0" * 32)
    put(worked, record.partition, encode(msgspec.structs.replace(signal, content=content)))
    assert [d.kind for d in verify(worked, "some").differences] == ["differs", "differs", "extra"]

    put(worked, record.partition, b"no signal")
    assert verify(worked, "some").foreign == 1
    assert describe(verify(worked, "some")).splitlines()[-1] == "NOT verified: live and replay differ"


def signals(count: int) -> list[Signal]:
    raw = undisturbed(fetched([bar("A", minute, 100.0 + minute % 3) for minute in range(count)]), [ready("demo")])
    return sorted(
        (msgspec.json.decode(value, type=Signal) for value in raw.values()), key=lambda s: s.provenance.offset
    )


def move(signal: Signal, **changes: Any) -> Signal:
    return msgspec.structs.replace(signal, provenance=msgspec.structs.replace(signal.provenance, **changes))


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda s: s, []),
        (lambda s: s[:3] + s[4:], [("missing", None)]),
        (lambda s: s[:-1], []),
        (lambda s: [*s, s[0]], []),
        (lambda s: [s[0], s[2], s[1], *s[3:]], [(OUT_OF_ORDER, None)]),
        (lambda s: [s[0], s[2], s[1], s[2], *s[3:]], [(OUT_OF_ORDER, None)]),
        (lambda s: [s[3], s[1], s[2], s[0], *s[4:]], [(OUT_OF_ORDER, None)] * 3),
        (lambda s: [s[0], s[1], s[0], s[2], s[1], *s[3:]], []),
        (lambda s: [s[4], *s[1:4]], [(OUT_OF_ORDER, None)] * 3 + [("missing", None)]),
        (lambda s: [move(s[0], worker="another"), *s[1:]], []),
        (lambda s: [move(s[0], offset=99), *s[1:]], [("differs", "provenance.offset")]),
        (lambda s: [move(s[0], topic="elsewhere"), *s[1:]], [("differs", "provenance.topic")]),
    ],
    ids=lambda value: None if callable(value) else "+".join(kind.split(":")[0] for kind, _ in value) or "equal",
)
def test_live_against_replayed(change: Callable[[list[Signal]], list[Signal]], kinds: list[tuple[str, Any]]) -> None:
    replayed, verdict = signals(6), VerifyResult("demo")
    compare(verdict, change(signals(6)), replayed, lambda signal: signal.provenance.offset < 5)
    assert [(d.kind, d.field) for d in verdict.differences] == kinds


def forget(config: Config, before: dict[int, int]) -> None:
    """The broker forgets bars before these offsets, as it does when they get too old."""
    from aiokafka import TopicPartition
    from aiokafka.admin import RecordsToDelete

    async def run() -> None:
        async with open_admin(config.kafka) as admin:
            bars = topic_name(config.kafka, "bars")
            await admin.delete_records(
                {TopicPartition(bars, p): RecordsToDelete(offset) for p, offset in before.items()}
            )

    asyncio.run(run())


def ends(config: Config) -> dict[int, int]:
    async def run() -> dict[int, int]:
        bars = topic_name(config.kafka, "bars")
        return {p: (await offset_range(config.kafka, bars, p))[1] for p in range(config.kafka.partitions)}

    return asyncio.run(run())


@pytest.mark.kafka
def test_bars_that_the_log_no_longer_holds(kafka: ApacheKafkaBroker, tmp_path: Path) -> None:
    """What they gave cannot be reproduced, and a state that needs them has a new origin: both are told."""
    bars = [BARS.iloc[:200], BARS.iloc[200:300]]
    file = tmp_path / "a.yaml"
    config = write_config(file, kafka.bootstrap, "forgotten.", {"demo": strategy()}, snapshot_interval=3600)
    topics_and_bars(config, bars[0])
    work(file, config, 200)
    assert len(replay(config, "demo", "kafka").raw) == 200
    gone, published = max(ends(config).items(), key=lambda end: end[1])
    forget(config, {gone: 10})
    verdict = verify(config, "demo")
    assert f"forgotten.bars/{gone} begins at offset 10 now, after the origin 0" in (verdict.not_reproducible or "")

    asyncio.run(produce_bars(config.kafka, bars[1]))
    forget(config, {gone: 20})
    log = work(file, config, 300, log="second.log")
    assert "demo: there are no snapshots; it has a new origin, as the log no longer reaches its old one" in log
    verdict = verify(config, "demo")
    assert verdict.ok, verdict
    assert (verdict.older, verdict.equal) == (published, 300 - published)
    assert f"{published} signals are older than the state's origin" in describe(verdict)
    assert len({record.value for record in records(config, "signals")}) == 300
