"""The end of the topic `signals`: one consumer for all clients, and the last records of each partition in memory.

A client has no queue: it keeps where it is, and reads on from here. Whoever falls behind what is kept reads from the
log, so memory does not grow with the number of clients or with how slowly they read.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from streams.service.gateway.published import Published, published

KEPT = 10_000
"""Records of each partition."""


class PartitionEnd:
    """The last records of one partition. Everything from offset `begin` up to, not including, `end` is here."""

    def __init__(self, begin: int, kept: int = KEPT) -> None:
        self.begin = self.end = begin
        self._signals: deque[Published] = deque()
        self._kept = kept

    def add(self, signals: Iterable[Published], end: int) -> None:
        """What was read up to offset `end`.

        >>> part = PartitionEnd(5, kept=2)
        >>> part.add([Published(0, offset, "s", "A", 0, b"") for offset in (5, 6, 8)], 9)
        >>> part.begin, part.end, [signal.offset for signal in part.since(0, 10)]
        (6, 9, [6, 8])
        """
        self._signals.extend(signals)
        self.end = max(self.end, end)
        while len(self._signals) > self._kept:
            self.begin = self._signals.popleft().offset + 1

    def since(self, offset: int, most: int) -> list[Published]:
        """At most so many, from this offset on."""
        if offset >= self.end or not self._signals:
            return []
        newer = []
        for signal in reversed(self._signals):
            if signal.offset < offset:
                break
            newer.append(signal)
        return newer[: -most - 1 : -1]


class Tail:
    """The ends of all partitions, which `follow` keeps up to date."""

    def __init__(self, ends: Sequence[int], kept: int = KEPT) -> None:
        self.parts = [PartitionEnd(end, kept) for end in ends]
        self._grown = asyncio.Event()

    async def follow(self, consumer: Any) -> None:
        """Reads on for as long as it is let; `consumer` is assigned, and stands where each part ends."""
        while True:
            fetched = await consumer.getmany(timeout_ms=1000)
            for at, records in fetched.items():
                signals = [signal for record in records if (signal := published(record))]
                self.parts[at.partition].add(signals, records[-1].offset + 1)
            if fetched:
                self._grown.set()
                self._grown = asyncio.Event()

    async def grows(self, seconds: float) -> bool:
        """Waits until something has come, so many seconds at most; whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self._grown.wait()
        except TimeoutError:
            return False
        return True
