"""Live signals on the topic against a replay, field by field."""

import asyncio

from backtest.replay.history import recompute, stretches
from backtest.replay.replay import signals_during
from backtest.sources.bars import Progress
from backtest.sources.log import require_log
from backtest.sources.offsets import Offsets, check_offsets, check_whole, signals_within
from backtest.verify.cross_sections import verify_gathered
from backtest.verify.verdict import Difference, VerifyResult, comparable, compare, live_signals
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Config
from streams.kafka.log import Log
from streams.kafka.topics import topic_name
from streams.recovery.state import load

__all__ = ["Difference", "VerifyResult", "verify", "verify_topic"]


def verify(
    config: Config,
    name: str,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
    source: str = "kafka",
) -> VerifyResult:
    """Compares all signals of strategy `name` for bars that close in [start, end), at these `offsets` (None: any),
    with a replay of the same log: `source` is ``kafka`` or the folder of an archive.
    """
    log = require_log(config, source)
    ready = ready_strategy(name, config.strategy(name))
    if offsets is not None:
        check_whole(ready)
        asyncio.run(check_offsets(log, offsets))
    if ready.generator.cross_section:
        return asyncio.run(verify_gathered(config, log, ready, start, end, progress))
    return asyncio.run(verify_topic(config, log, ready, start, end, progress, offsets))


async def verify_topic(
    config: Config,
    log: Log,
    ready: ReadyStrategy,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
) -> VerifyResult:
    verdict = VerifyResult(ready.name)
    # a worker may be at work meanwhile: first what it says is published, then that, then the bars it was made of
    count = await log.partition_count()
    live = [await live_signals(log, ready.name, partition) for partition in range(count)]
    ran = False
    for partition, found in enumerate(live):
        stored = await load(log, partition)
        past = await stretches(log, stored, partition, ready, config)
        verdict.take_past(past, ready)
        ran = ran or bool(past)
        expected = await recompute(log, stored, partition, count, past, progress, verdict.gaps)
        verdict.foreign += found.foreign
        published, expected = (
            signals_within(signals_during(some, start, end), offsets) for some in (found.signals, expected)
        )
        compare(verdict, comparable(verdict, published, past), expected, found.due)
    if not ran:
        verdict.not_reproducible = f"no worker has ever run strategy {ready.name} on {topic_name(log, 'bars')}"
    verdict.differences.sort(key=lambda d: (d.time, d.symbol))
    return verdict
