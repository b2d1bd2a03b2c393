"""Live signals on the topic against a replay, field by field."""

import asyncio

from backtest.replay.replay import signals_during
from backtest.replay.walk import History
from backtest.sources.bars import Progress, Reading
from backtest.sources.log import require_log
from backtest.sources.offsets import Offsets, check_offsets, check_whole, signals_within
from backtest.verify.cross_sections import verify_gathered
from backtest.verify.verdict import (
    NEWS_TOPICS,
    Difference,
    VerifyResult,
    comparable,
    compare,
    exactly_once_from,
    live_signals,
)
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name

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
    history = History(log, config, ready)
    if offsets is not None:
        check_whole(ready)
        asyncio.run(check_offsets(log, offsets))
    if ready.at_once:
        return asyncio.run(verify_gathered(history, start, end, progress))
    return asyncio.run(verify_topic(history, start, end, progress, offsets))


async def verify_topic(
    history: History,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    offsets: Offsets | None = None,
) -> VerifyResult:
    log, ready = history.log, history.ready
    verdict = VerifyResult(ready.name)
    # a worker may run meanwhile, so in this order: its marker, what it published, and the bars behind that
    live = [await live_signals(log, ready.name, partition) for partition in range(await log.partition_count())]
    ran, reading = False, Reading(progress, verdict.gaps)
    async for partition in history.partitions():
        verdict.take_past(partition.past, ready)
        verdict.take_unread(partition, "bars", offsets.get(partition.number) if offsets else None)
        for topic in NEWS_TOPICS if ready.uses_news else ():
            verdict.take_unread(partition, topic)
        ran = ran or bool(partition.past)
        expected = (await partition.recomputed(reading)).signals
        of_live = live[partition.number]
        verdict.foreign += of_live.foreign
        published, due = (
            signals_within(signals_during(signals, start, end), offsets) for signals in (of_live.signals, expected)
        )
        mine = comparable(verdict, published, partition.past)
        compare(verdict, mine, due, of_live.due, exactly_once_from(partition.past))
    if not ran:
        verdict.not_reproducible = f"no worker has ever run strategy {ready.name} on {topic_name(log, 'bars')}"
    verdict.scattered = scattered(reading.places, topic_name(log, "bars"))
    verdict.differences.sort(key=lambda d: (d.time, d.symbol))
    return verdict
