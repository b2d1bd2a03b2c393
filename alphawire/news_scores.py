"""The scores of news that belong to a command's bars."""

import asyncio
from typing import TYPE_CHECKING

from schemas.configuration import Config

if TYPE_CHECKING:
    from backtest.sources.news import NewsOf
    from streams.ingest.bar_files import Refused
    from streams.kafka.log import Log


def news_of(config: Config, name: str, log: "Log | None", file: str | None, left_out: "Refused") -> "NewsOf | None":
    """Those of strategy `name`: of a `file`, or of the `log` that the bars come from; None where it uses no news, or
    there are none. `left_out` collects what of the file was not used.
    """
    from backtest.replay.replay import check_news
    from backtest.sources.news import file_news, topic_news
    from plugins.strategy.ready import ready_strategy

    bare = config.strategy(name).model_copy(update={"model": None, "prediction": None})  # perhaps it is not there yet
    ready = ready_strategy(name, bare)
    check_news(ready, file, log is not None)
    if file:
        join = file_news(file, config.news, ready.joining, left_out)
        return lambda bars: join
    if log is None or not ready.uses_news:
        return None
    return asyncio.run(topic_news(log, ready.joining))
