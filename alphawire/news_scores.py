"""The scores of news that belong to a command's bars."""

import asyncio
from typing import TYPE_CHECKING

from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.sources.news import NewsOf
    from streams.ingest.files import Refused


def news_of(config: Config, name: str, topics: Config | None, file: str | None, left_out: "Refused") -> "NewsOf | None":
    """Those of strategy `name`: of a `file`, or of the `topics` that the bars come from; None where it uses no news, or
    there are none. `left_out` gets what of the file was not used.
    """
    from backtest.replay.replay import check_news
    from backtest.sources.news import file_news, topic_news
    from plugins.strategy.ready import ready_strategy
    from streams.kafka.topics import partition_count

    bare = config.strategy(name).model_copy(update={"model": None, "prediction": None})  # perhaps it is not there yet
    ready = ready_strategy(name, bare)
    check_news(ready, file, topics is not None)
    if file:
        join = file_news(file, config.news, ready.joining, left_out)
        return lambda bars: join
    if topics is None or not ready.uses_news:
        return None

    async def read() -> "NewsOf":
        return await topic_news(topics.kafka, await partition_count(topics.kafka), ready.joining)

    return asyncio.run(read())
