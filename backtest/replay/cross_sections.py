"""Replay, from the log, of strategies that decide about all symbols at once."""

import pandas as pd

from backtest.replay.file_cross_sections import FileSections
from backtest.replay.history import VERSION, recompute_all, stretches
from backtest.replay.logged_cross_sections import gathered, logged
from backtest.sources.bars import Progress, frame_of, in_order, topic_steps
from plugins.pipeline.cross_section import late_signal
from plugins.pipeline.interval_group import Outcome
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Signal
from streams.consuming.news_scores import joins
from streams.ingest.files import Refused
from streams.kafka.topics import partition_count, topic_name
from streams.recovery.state import StoredState, load


async def replay_gathered(
    config: Config, ready: ReadyStrategy, progress: Progress | None, gaps: list[str], left_out: Refused
) -> tuple[list[Signal], pd.DataFrame]:
    """Signals and bars; `gaps` and `left_out` are told what the log lacks, and what of it cannot be used.

    Times that are closed on the log are decided as their closings say; later ones, about all that have a bar.
    """
    kafka, count = config.kafka, await partition_count(config.kafka)
    made, frames = Outcome(), list[pd.DataFrame]()
    for partition in range(count):
        stored = await load(kafka, partition)
        begin = stored.memory_begin({ready.interval}) or 0
        made.predictions += (await _predicted(config, ready, stored, partition, count)).predictions
        async for step in topic_steps(kafka, partition, count, begin, progress, gaps, left_out):
            if ready.interval in step.batches:
                frames.append(frame_of(step.batches[ready.interval], ready.interval))
    found = gathered(await logged(kafka, ready.name), made.predictions)
    signals = [signal for _, signal in found.signals]
    seen = {signal.content.id for signal in signals}
    rest = [late_signal(prediction) for prediction in found.absent if prediction.time <= found.closed]
    sections = FileSections(ready)
    later = [p for p in made.predictions if p.time > found.closed]
    rest += sections.take(sorted(later, key=lambda p: (p.time, p.symbol)))
    rest += sections.end()
    signals += [signal for signal in rest if signal.content.id not in seen]
    bars = in_order(pd.concat(frames, ignore_index=True)) if frames else pd.DataFrame({"symbol": [], "close_time": []})
    return signals, bars


async def _predicted(config: Config, ready: ReadyStrategy, stored: StoredState, partition: int, count: int) -> Outcome:
    """What was in force predicts; where nothing ever was, the strategy as it is configured, from the oldest bar on."""
    past = await stretches(stored, partition, ready, config)
    if past:
        return await recompute_all(config.kafka, stored, partition, count, past)
    join = (await joins(config.kafka, partition, [ready.joining]))[ready.joining] if ready.uses_news else None
    source, outcome = Source(topic_name(config.kafka, "bars"), partition, VERSION), Outcome()
    pipeline = Pipeline([ready], source, news=join)
    pipeline.runs[ready.name].start_time = 0
    async for step in topic_steps(config.kafka, partition, count, 0, None):
        outcome.predictions += pipeline.feed(step.batches).predictions
    return outcome
