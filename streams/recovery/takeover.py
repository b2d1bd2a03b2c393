"""Taking partitions over: first the writers, which with transactions fence the former owner, then what the log says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.errors import KafkaError

from schemas.errors import BrokerError
from streams.process.exits import Exit, cause
from streams.publishing.writer import Writer, WriterFactory

log = logging.getLogger("alphawire.takeover")
P = TypeVar("P")


async def take_over(
    topic: str,
    factory: WriterFactory,
    numbers: Sequence[int],
    plan: Callable[[int], Awaitable[P]],
    current: Callable[[], bool],
    tracks: Sequence[str] = ("",),
    hear: Callable[[], Awaitable[None]] | None = None,
) -> tuple[list[P], list[list[Writer]]] | None:
    """What each partition's log says, and its writers, one for each of the `tracks`; None when another rebalance came
    meanwhile (it is not `current`). Between the two it may `hear` what else is to be known.

    A broker that is away is asked again.
    """
    pause = 0.1
    while True:
        writers: list[Writer] = []
        try:
            await _open(factory, [(number, track) for number in numbers for track in tracks], writers)
            if hear is not None:
                await hear()
            plans = list(await asyncio.gather(*map(plan, numbers)))
            break
        except (BrokerError, KafkaError) as error:
            await asyncio.gather(*map(factory.close, writers))
            if cause(error) is Exit.FENCED:
                raise
            log.warning("%s %s cannot be taken over yet: %s", topic, list(numbers), error)
        await asyncio.sleep(pause)
        if not current():
            return None
        pause = min(2 * pause, 2.0)
    if not current():
        log.info("%s %s were taken away while they were restored", topic, list(numbers))
        await asyncio.gather(*map(factory.close, writers))
        return None
    return plans, [writers[place * len(tracks) :][: len(tracks)] for place in range(len(numbers))]


async def _open(factory: WriterFactory, wanted: Sequence[tuple[int, str]], writers: list[Writer]) -> None:
    """Into `writers`, in that order, those that could be opened when another could not."""
    opening = (factory.open(number, track) for number, track in wanted)
    for opened in await asyncio.gather(*opening, return_exceptions=True):
        if isinstance(opened, BaseException):
            fault = opened
        else:
            writers.append(opened)
    if len(writers) < len(wanted):
        raise fault
