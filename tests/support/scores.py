"""Scorers as the owner of the bars sees them: what they write to ``news.scores``, in order."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from schemas.configuration import Config, load_config
from schemas.wire import encode
from schemas.wire.news import Mark, Score
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import topic_name
from streams.publishing.writer import Record
from tests.support.memory import MINUTE, Log, bar, ready

FIRST = 1_380_000_000_000
SCORES = "news.scores"
FEATURES_OF_NEWS: dict[str, Any] = {
    "features": ["news.finbert_sentiment", "news.sentiment_momentum", {"news.sentiment_divergence": {"window": 5}}],
    "prediction": "sentiment_momentum",
    "signal": {"key": "signal.threshold", "buy_threshold": 0.2, "sell_threshold": -0.2},
}
"""Settings of a strategy that has all three."""
RULE = {"scorer": "lexicon", "memory": 3600.0}


def news_strategy(name: str = "news", **changes: Any) -> Any:
    """Its prediction is the mean positive score; unknown and without an article it is null."""
    features = ["news.finbert_sentiment", {"news.sentiment_momentum": {"window": 3}}, "technical.rsi"]
    signal = {"key": "signal.threshold", "buy_threshold": 0.5, "sell_threshold": 0.3}
    settings = {"features": features, "prediction": "positive_score", "signal": signal, "news": RULE}
    return ready(name, **(settings | changes))


def score(article: str, symbol: str, minute: float, positive: float = 0.5, **changes: Any) -> Record:
    """Available `minute` minutes after `FIRST`, published long before."""
    available = round(FIRST + minute * MINUTE)
    fields: dict[str, Any] = {
        "article": article, "symbol": symbol, "published_at": FIRST - MINUTE, "available_at": available,
        "positive": positive, "negative": 1.0 - positive, "neutral": 0.0, "uncertainty": 0.25,
        "scorer": "lexicon/1 aa", "text_sha256": f"text of {article}", "news_partition": 0, "news_offset": 0,
    } | changes  # fmt: skip
    return Record(SCORES, symbol.encode(), encode(Score(**fields)), available)


def mark(minute: float, partition: int = 0, partitions: int = 1) -> Record:
    up_to = round(FIRST + minute * MINUTE)
    return Record(SCORES, f":mark/{partition}".encode(), encode(Mark(partition, partitions, up_to)), up_to)


def written(rng: random.Random, symbols: Sequence[str], minutes: int) -> list[Record]:
    """What two scorers write in the course of `minutes`: with repeats, corrections, copies, rubbish, scores of another
    scorer, and some after a mark that promised there would be none. The last marks are beyond all bars.
    """
    found, seen = list[Record](), list[tuple[str, str]]()
    for minute in range(minutes):
        for partition in (0, 1):
            for number in range(rng.choice([0, 0, 1, 3])):
                name, symbol = f"{minute}-{partition}-{number}", rng.choice(symbols)
                if seen and rng.random() < 0.2:
                    name, symbol = rng.choice(seen)
                seen.append((name, symbol))
                when = minute + rng.random() - (3.0 if rng.random() < 0.1 else 0.0)
                more = {} if rng.random() < 0.8 else {"text_sha256": rng.choice(["copy", "other"])}
                if rng.random() < 0.1:
                    more["scorer"] = "finbert/1 bb"
                found.append(score(name, symbol, max(when, 0.0), rng.random(), news_partition=partition, **more))
            if rng.random() < 0.05:
                found.append(Record(SCORES, b"?", rng.choice([b"rubbish", b"{}", b'{"kind":"score"}', None])))
            if rng.random() < 0.7:
                found.append(mark(minute + 1, partition, 2))
    return [*found, *(mark(100_000, partition, 2) for partition in (0, 1))]


def one_symbol(count: int) -> list[dict[str, Any]]:
    """Bars of A; bar n closes n + 1 minutes after `FIRST`."""
    return [bar("A", minute, 100.0 + minute) for minute in range(count)]


def writes(log: Log, script: Iterator[Record], rng: random.Random, pace: float) -> Any:
    """The scorers go on a little each time that it is called; now and then they pause."""
    pause = 0

    def some(*_: object) -> None:
        nonlocal pause
        pause = pause - 1 if pause else rng.choice([0] * 40 + [200])
        if not pause and rng.random() < pace:
            log.records += [record for record in [next(script, None)] if record]

    return some


def with_section(file: Path, grace: float) -> Config:
    """The configuration in `file`, with a section `news`."""
    settings = yaml.safe_load(file.read_text())
    settings["news"] = RULE | {"grace": grace}
    for strategy in settings["strategies"].values():
        strategy.pop("news", None)
    file.write_text(yaml.safe_dump(settings))
    return load_config(file)


def scored(bars: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Drawn scores of the bars' symbols, available at or before the close of some of them."""
    rng = np.random.default_rng(seed)
    some = bars.iloc[np.sort(rng.choice(len(bars), len(bars) // 2))]
    early = rng.integers(0, 120_000, len(some))
    positive = rng.random(len(some))
    frame = pd.DataFrame(
        {"id": [f"a{i}" for i in range(len(some))], "symbol": some["symbol"], "positive": positive,
         "available_at": some["close_time"] - early}
    )  # fmt: skip
    return frame.assign(negative=1.0 - positive, neutral=0.0).sort_values("available_at", ignore_index=True)


def send_scores(config: Config, scores: pd.DataFrame, up_to: int | None) -> None:
    """To where the scorer sends them, and then a mark to every partition."""

    async def run() -> None:
        topic, count = topic_name(config.kafka, SCORES), config.kafka.partitions
        async with open_producer(config.kafka) as producer:
            for row in scores.itertuples(index=False):
                minute = (row.available_at - FIRST) / MINUTE
                record = score(row.id, row.symbol, minute, row.positive, available_at=int(row.available_at))
                place = partition_of(record.key or b"", count, "murmur2")
                await producer.send(
                    topic, record.value, record.key, partition=place, timestamp_ms=int(row.available_at)
                )
            await producer.flush()
            for partition in range(count if up_to is not None else 0):
                found = encode(Mark(0, 1, up_to or 0))
                await producer.send_and_wait(topic, found, b":mark/0", partition=partition, timestamp_ms=up_to)

    asyncio.run(run())
