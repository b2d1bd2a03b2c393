"""Bars at a steady rate, whatever happens to the broker; now and then some that come twice or out of order."""

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count

from aiokafka.errors import KafkaError

from schemas.configuration import Config
from schemas.errors import BrokerError
from schemas.wire import Bar, encode
from streams.kafka.clients import open_producer
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import topic_name
from tests.support.live import minute_bars

MINUTE = 60_000
EPOCH = 1_380_000_000_000 // MINUTE * MINUTE
SYMBOLS = tuple(f"G{number:02}" for number in range(12))
TICK = 0.1
RECENT = 400


def stream(seed: int) -> Iterator[Bar]:
    """Real minute bars, one in four, as long as there are any, among random walks that never end."""
    real = (Bar(*row) for row in minute_bars().itertuples(index=False, name=None))
    rng = random.Random(seed)
    closes = dict.fromkeys(SYMBOLS, 100.0)
    for minute in count():
        for symbol in SYMBOLS:
            if rng.random() < 0.02:
                continue  # a gap
            before, close = closes[symbol], round(closes[symbol] * (1 + rng.gauss(0, 0.001)), 4)
            closes[symbol] = close
            opened = EPOCH + minute * MINUTE
            high, low = max(before, close) + 0.01, min(before, close) - 0.01
            yield Bar(symbol, "1m", opened, opened + MINUTE, before, high, low, close, float(rng.randint(0, 9999)))
            if rng.random() < 0.25 and (bar := next(real, None)) is not None:
                yield bar


class BarProducer(threading.Thread):
    """Sends `rate` bars a second until `stop`.

    A batch whose fate is unknown is sent again, as at-least-once producers do; no later bar overtakes it.
    """

    def __init__(self, config: Config, rate: float, seed: int) -> None:
        super().__init__(name="bars", daemon=True)
        self.config = config
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self._bars = stream(seed)
        self._rng = random.Random(seed + 1)
        self._recent: deque[Bar] = deque(maxlen=RECENT)
        self._extra: deque[Bar] = deque()
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def repeat(self, number: int) -> None:
        """The last `number` bars once more, in order."""
        self._extra.extend(list(self._recent)[-number:])

    def shuffle(self, number: int) -> None:
        """Of the last bars some once more, in any order, and some with other values: late ones and corrections."""
        chosen = self._rng.sample(list(self._recent), min(number, len(self._recent)))
        self._extra.extend(bar if index % 3 else _changed(bar) for index, bar in enumerate(chosen))

    def burst(self, number: int) -> None:
        """`number` new bars at once."""
        self._extra.extend(next(self._bars) for _ in range(number))

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        due, pending = time.monotonic(), []
        while not self._stopping.is_set() or pending:
            try:
                async with open_producer(
                    self.config.kafka, enable_idempotence=True, request_timeout_ms=8000
                ) as producer:
                    while not self._stopping.is_set() or pending:
                        pending = pending or self._take()
                        await self._send(producer, pending)
                        due, pending = max(due + TICK, time.monotonic() - 1.0), []
                        await asyncio.sleep(max(due - time.monotonic(), 0))
            except (KafkaError, BrokerError, TimeoutError):
                self.counts["sent again"] += len(pending)

    def _take(self) -> list[Bar]:
        fresh = [next(self._bars) for _ in range(max(int(self.rate * TICK), 1))]
        extra = [self._extra.popleft() for _ in range(len(self._extra))]
        self._recent.extend(fresh)
        self.counts["bars"] += len(fresh)
        self.counts["repeated or out of order"] += len(extra)
        return extra + fresh

    async def _send(self, producer: object, bars: list[Bar]) -> None:
        topic, partitions = topic_name(self.config.kafka, "bars"), self.config.kafka.partitions
        futures = [
            await producer.send(  # type: ignore[attr-defined]
                topic,
                encode(bar),
                key=bar.symbol.encode(),
                partition=partition_of(bar.symbol.encode(), partitions, "murmur2"),
                timestamp_ms=bar.close_time,
            )
            for bar in bars
        ]
        await asyncio.gather(*futures)


def _changed(bar: Bar) -> Bar:
    """The same bar with another volume: a correction."""
    return Bar(
        bar.symbol, bar.interval, bar.open_time, bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume + 1
    )
