"""Signals recomputed from files of bars, to a file: neither the bars nor the signals have to fit into memory."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from backtest.replay.replay import check_news, file_signals, signals_during
from backtest.replay.signal_files import signal_file
from backtest.sources.bars import Progress, distinct, file_stream
from backtest.sources.files import Files
from backtest.sources.news import file_news
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import Refused, during


@dataclass
class Replayed:
    """How many signals were written, and of how many bars of each symbol."""

    signals: int = 0
    bars: Counter[str] = field(default_factory=Counter)
    left_out: Refused = field(default_factory=Refused)
    news_left_out: Refused = field(default_factory=Refused)

    @property
    def symbols(self) -> pd.DataFrame:
        """One row a symbol that had a bar, as `backtest.sources.universes` takes them."""
        return pd.DataFrame({"symbol": list(self.bars)}, dtype=object)


def replay_to_file(
    config: Config,
    name: str,
    source: Files,
    out: Path,
    closes: tuple[int | None, int | None] = (None, None),
    progress: Progress | None = None,
    news: str | None = None,
) -> Replayed:
    """As `backtest.replay.replay.replay` of these files, to the file `out`; `closes`: from when to when, in ms.

    Raises
    ------
    ConfigurationError
        For files without a bar that can be used, and an `out` that cannot be written.
    """
    start, end = closes
    if start is not None and end is not None and start >= end:
        raise ConfigurationError("the range is empty: --from is not before --to")
    ready, result = ready_strategy(name, config.strategy(name)), Replayed()
    check_news(ready, news, of_topics=False)
    join = file_news(news, config.news, ready.joining, result.news_left_out) if news else None
    with file_stream(source, ready.interval, progress) as bars, signal_file(out) as write:
        result.left_out.take(bars.left_out)
        for frame, signals in file_signals(ready, bars.frames(), bars.name, result.left_out, news=join):
            wanted = signals_during(signals, start, end)
            write(wanted)
            result.signals += len(wanted)
            frame = distinct(frame)
            result.bars.update(frame.loc[during(frame["close_time"], start, end), "symbol"])
    return result
