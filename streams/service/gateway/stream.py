"""What one client of the stream is sent: from where it was, or from now on, without a hole that it is not told of."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from streams.service.gateway.history import History
from streams.service.gateway.published import Deleted, Published, Wanted
from streams.service.gateway.tail import Tail

BATCH = 500
QUIET = 15.0
"""Seconds after which a client that was sent nothing is told that the stream is alive."""

Events = Sequence[Published | Deleted]
"""What comes next, all of one partition; nothing: the stream is alive."""


@dataclass
class ClientStream:
    """Reads for one client, from `at` on; `reading` bounds how many read from the log at a time."""

    tail: Tail
    history: History
    wanted: Wanted
    reading: asyncio.Semaphore
    at: dict[int, int]
    """By partition, the offset up to which all that is wanted was handed out."""

    async def events(self) -> AsyncGenerator[Events, None]:
        """What follows, for ever. A client that reads slowly is simply behind."""
        at = self.at
        while True:
            moved = False
            for number, part in enumerate(self.tail.parts):
                if at[number] < part.begin:
                    async with aclosing(self._behind(number, at)) as batches:
                        async for batch in batches:
                            yield batch
                    moved = True
                    continue
                signals = part.since(at[number], BATCH)
                following = signals[-1].offset + 1 if len(signals) == BATCH else part.end
                moved |= following > at[number]
                at[number] = max(at[number], following)
                if chosen := [signal for signal in signals if self.wanted.includes(signal)]:
                    yield chosen
            if not moved and not await self.tail.grows(QUIET):
                yield ()

    async def _behind(self, number: int, at: dict[int, int]) -> AsyncGenerator[Events, None]:
        """From the log, up to what the tail keeps."""
        async with self.reading:
            oldest, end = (await self.history.ranges())[number]
            if at[number] < oldest:
                gone, at[number] = Deleted(number, at[number], oldest), oldest
                yield [gone]
            async with aclosing(self.history.after(number, at[number])) as batches:
                async for signals, following in batches:
                    newer = [one for one in signals if one.offset >= at[number] and self.wanted.includes(one)]
                    at[number] = following
                    for first in range(0, len(newer), BATCH):
                        yield newer[first : first + BATCH]
                    if at[number] >= self.tail.parts[number].begin:
                        return
            at[number] = max(at[number], end)
