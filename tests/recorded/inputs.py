"""What is sent: bars, rubbish between them, scores of news with their marks; the same bytes in every recording."""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from aiokafka.partitioner import murmur2

START = 1_700_006_400_000
MINUTE = 60_000
MINUTES = 160
PARTITIONS = 3
SYMBOLS = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "LLL"]
HOLES = {("CCC", 20), ("CCC", 21), ("FFF", 64), ("GGG", 100)}
"""Bars that never come."""
Prices = tuple[float, float, float, float, float]
"""Open, high, low, close and volume."""


@dataclass(frozen=True)
class Sent:
    """A record to be produced; `topic` without the prefix."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int


def home(key: str) -> int:
    number: int = murmur2(key.encode())
    return (number & 0x7FFFFFFF) % PARTITIONS


def close_time(minute: int) -> int:
    return START + (minute + 1) * MINUTE


@cache
def prices(symbol: str) -> list[Prices]:
    """Of each minute."""
    rng, price, found = random.Random(symbol), 100.0, []
    for _ in range(MINUTES):
        begin, price = price, round(price * (1 + rng.gauss(0, 0.002)), 4)
        high = round(max(begin, price) * (1 + rng.random() * 0.001), 4)
        low = round(min(begin, price) * (1 - rng.random() * 0.001), 4)
        found.append((begin, high, low, price, float(rng.randint(100, 9_999))))
    return found


def bar(symbol: str, minute: int, **changes: Any) -> Sent:
    """The bar of one minute."""
    return _bar(symbol, "1m", minute, minute, prices(symbol)[minute], changes)


def longer_bar(symbol: str, minute: int) -> Sent:
    """The bar of five minutes of which `minute` is the last."""
    part = prices(symbol)[minute - 4 : minute + 1]
    high, low, volume = max(p[1] for p in part), min(p[2] for p in part), sum(p[4] for p in part)
    return _bar(symbol, "5m", minute - 4, minute, (part[0][0], high, low, part[-1][3], volume), {})


def _bar(symbol: str, interval: str, first: int, last: int, values: Prices, changes: dict[str, Any]) -> Sent:
    times = {"open_time": START + first * MINUTE, "close_time": close_time(last)}
    names = ("open", "high", "low", "close", "volume")
    value = {"symbol": symbol, "interval": interval} | times | dict(zip(names, values, strict=True)) | changes
    return Sent("bars", home(symbol), symbol.encode(), _json(value), close_time(last))


def bars(minutes: Iterable[int]) -> Iterator[Sent]:
    """All symbols of a minute, then those of the next; every five minutes the longer bars."""
    for minute in minutes:
        yield from (bar(symbol, minute) for symbol in SYMBOLS if (symbol, minute) not in HOLES)
        if minute % 5 == 4:
            yield from (longer_bar(symbol, minute) for symbol in SYMBOLS)


def rubbish(minute: int) -> Iterator[Sent]:
    """What becomes dead letters, or is dropped or left, after the bars of a minute."""
    time = close_time(minute)
    yield Sent("bars", 0, b"AAA", b"no JSON", time)
    yield Sent("bars", 1, b"another", bar("BBB", minute).value, time)
    yield Sent("bars", (home("CCC") + 1) % PARTITIONS, b"CCC", bar("CCC", minute).value, time)
    yield Sent("bars", 2, b"HHH", None, time)
    yield bar("DDD", minute)  # a repeat
    yield bar("EEE", minute, volume=1.0)  # a correction
    yield bar("FFF", 20, volume=3.0)
    yield bar("CCC", 20)  # late
    yield bar("GGG", minute + 1, closed=False)
    yield bar("HHH", minute, high=1.0)


def scores(after: int, minutes: range) -> Iterator[Sent]:
    """Articles of these minutes, available after that time and not after the last close; the mark at their end."""
    rng, last = random.Random(f"news {minutes}"), close_time(minutes[-1])
    drawn = []
    for minute in minutes:
        for symbol in SYMBOLS:
            if rng.random() < 0.4:
                available = max(after + 1, close_time(minute) - rng.randint(0, 2 * MINUTE))
                drawn.append((available, f"{symbol}-{minute}", symbol, rng.random()))
    for number, (available, article, symbol, positive) in enumerate(sorted(drawn)):
        yield _score(available, article, symbol, round(positive, 3), number)
    yield from marks(last)


def _score(available: int, article: str, symbol: str, positive: float, number: int) -> Sent:
    value = {
        "kind": "score", "article": article, "symbol": symbol, "published_at": available - 30_000,
        "available_at": available, "positive": positive, "negative": 1.0 - positive, "neutral": 0.0,
        "uncertainty": 0.25, "scorer": "lexicon/1 aa", "text_sha256": f"text {number % 50} of {symbol}",
        "news_partition": 0, "news_offset": number, "historical": number % 11 == 5,
    }  # fmt: skip
    return Sent("news.scores", home(symbol), symbol.encode(), _json(value), available)


def marks(up_to: int) -> Iterator[Sent]:
    """As a scorer writes them: on every partition."""
    value = _json({"kind": "mark", "news_partition": 0, "news_partitions": 1, "up_to": up_to, "next": 0})
    for partition in range(PARTITIONS):
        yield Sent("news.scores", partition, b":mark/0", value, up_to)


def wish(kind: str, identity: str, strategy: str, **fields: Any) -> Sent:
    """A record for `control`, as the command line sends it."""
    value = {"kind": kind, "id": identity, "strategy": strategy, "from_time": None} | fields
    return Sent("control", 0, strategy.encode(), _json(value), START)


def first_half_hour() -> list[Sent]:
    """Scores of an hour, and half an hour of bars with rubbish at the end."""
    return [*scores(0, range(0, 60)), *bars(range(0, 31)), *rubbish(30)]


def hour() -> list[Sent]:
    """The rest of the hour."""
    return list(bars(range(31, 60)))


def quarter(begin: int) -> list[Sent]:
    """Fifteen minutes, scored."""
    minutes = range(begin, begin + 15)
    return [*scores(close_time(begin - 1), minutes), *bars(minutes)]


SILENT = range(120, 123)
LATE = "LLL"
"""Its bars of these minutes come when the cross-sections are closed; the other symbols have none."""


def silent_minute(minute: int) -> list[Sent]:
    """One bar for each partition, and no mark: the scorer is away."""
    chosen = {home(symbol): symbol for symbol in reversed(SYMBOLS)}
    return [bar(symbol, minute) for symbol in chosen.values()]


def late() -> list[Sent]:
    """The scorer is back; bars after their cross-sections."""
    found = [bar(LATE, minute) for minute in SILENT]
    return [*scores(close_time(SILENT[-1]), range(123, 135)), *found, *bars(range(123, 135))]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
