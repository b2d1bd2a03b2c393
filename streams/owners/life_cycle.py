"""The life cycle of the partitions that one process owns. Bars, cross-sections and the scorer share it.

============  =================================================================================
stage         what happens
============  =================================================================================
assigned      the group gives the partition to this process
fenced        its writers are opened; with transactions that shuts the former owner out
restored      what the log says of it is read
fed           records are stepped over, and what they lead to is published
revoked       the group takes it back: what was fed is published, as far as a deadline allows
closed        its writers are closed
============  =================================================================================

Fencing comes before restoring: a former owner that is not shut out yet could commit once more after its state was read,
and those signals would be published twice. Each step that awaits can be overtaken by a rebalance; the epoch, which
every revocation moves on, tells.

>>> class Partition:
...     def __init__(self, number):
...         self.number, self.position, self.counts = number, 0, Counter()
>>> class Owner(PartitionOwner):
...     async def restore(self, numbers):
...         print("restored", numbers)
...         return ["state"] * len(numbers)
...     def open(self, number, restored, writers):
...         return Partition(number)
...     async def finish(self, part):
...         print("revoked", part.number)
...         return [f"writer of {part.number}"]
>>> class Writers:
...     async def open(self, number, track):
...         print("fenced", number)
...         return f"writer of {number}"
...     async def close(self, writer):
...         print("closed", writer)
>>> async def life(owner):
...     await owner.take_over([3])
...     print("owned", list(owner.partitions))
...     await owner.let_go([3])
>>> asyncio.run(life(Owner("bars", Writers(), die=print, deadline=10.0)))
fenced 3
restored [3]
owned [3]
revoked 3
closed writer of 3
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from aiokafka.errors import KafkaError

from schemas.errors import BrokerError, ConfigurationError
from streams.process.exits import Die, Exit, cause
from streams.publishing.writer import Writer, WriterFactory

log = logging.getLogger("alphawire.takeover")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds before a broker that is away is asked again; each pause is twice the last one."""


class OwnedPartition(Protocol):
    """What every owner keeps for a partition."""

    number: int
    position: int
    """Everything before this offset is dealt with."""
    counts: Counter[str]


Part = TypeVar("Part", bound=OwnedPartition)
Restored = TypeVar("Restored")


class PartitionOwner(ABC, Generic[Part, Restored]):
    """Takes partitions of `kind` (``bars``) over and lets them go again; a subclass says how one is restored, opened,
    started and finished.

    `deadline` bounds each taking over, in seconds; `die(exit, reason)` ends the process; a partition has one writer for
    each of the `tracks`.
    """

    def __init__(
        self, kind: str, factory: WriterFactory, die: Die, deadline: float, tracks: Sequence[str] = ("",)
    ) -> None:
        self.kind = kind
        self.factory = factory
        self.die = die
        self.partitions: dict[int, Part] = {}
        self.counts: Counter[str] = Counter()
        """Of the partitions that are no longer owned."""
        self.generation = -1
        """The group's generation in which the partitions were taken over; -1: none ever were."""
        self._deadline = deadline
        self._tracks = tracks
        self._epoch = 0

    @abstractmethod
    async def restore(self, numbers: Sequence[int]) -> Sequence[Restored]:
        """What the log says of each of the partitions; the former owners are shut out already."""

    @abstractmethod
    def open(self, number: int, restored: Restored, writers: Sequence[Writer]) -> Part:
        """The partition as it goes on. Does not await, so no rebalance comes between the check and this."""

    async def start(self, part: Part) -> None:
        """Begins what runs beside the feeding. A rebalance may come meanwhile."""

    def stop(self, part: Part) -> None:
        """The partition is not fed any more; what runs beside the feeding ends."""

    @abstractmethod
    async def finish(self, part: Part) -> Sequence[Writer]:
        """Publishes what was fed, within a deadline of its own; the writers, which nobody uses after that."""

    def counted(self, part: Part) -> Counter[str]:
        """What happened on a partition."""
        return part.counts.copy()

    def totals(self) -> Counter[str]:
        """What happened since the start, over all partitions ever owned."""
        return sum(map(self.counted, self.partitions.values()), self.counts.copy())

    def place(self, numbers: Iterable[int]) -> str:
        """The partitions as messages name them: ``bars/0, 1``."""
        return f"{self.kind}/{', '.join(map(str, numbers))}"

    async def take_over(self, numbers: Sequence[int], generation: int = 0) -> None:
        """From assigned to fed, unless a rebalance overtakes it; ends the process when that cannot be."""
        epoch = self._epoch
        try:
            async with asyncio.timeout(self._deadline):
                taken = await self._fenced_and_restored(numbers, epoch)
                if taken is not None:
                    self.generation = generation
                    restored, writers = taken
                    for number, state, own in zip(numbers, restored, writers, strict=True):
                        self.partitions[number] = self.open(number, state, own)
                    await asyncio.gather(*(self.start(self.partitions[number]) for number in numbers))
        except ConfigurationError as error:
            self.die(Exit.CONFIGURATION, str(error))
        except (BrokerError, KafkaError, TimeoutError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else repr(error)
            self.die(cause(error), f"{self.place(numbers)} cannot be taken over: {reason}")

    async def let_go(self, numbers: Iterable[int]) -> None:
        """From revoked to closed; another process may own the partitions after this."""
        self._epoch += 1
        parts = [self.partitions.pop(number) for number in numbers if number in self.partitions]
        for part in parts:
            self.stop(part)
        writers = await asyncio.gather(*map(self.finish, parts))
        await self._close([writer for own in writers for writer in own])

    async def _fenced_and_restored(
        self, numbers: Sequence[int], epoch: int
    ) -> tuple[Sequence[Restored], list[list[Writer]]] | None:
        """What the log says of each partition, and its writers; None when a rebalance came meanwhile. A broker that is
        away is asked again.
        """
        pause = FIRST_PAUSE
        while True:
            writers: list[Writer] = []
            try:
                await self._fence(numbers, writers)
                restored = await self.restore(numbers)
                break
            except (BrokerError, KafkaError) as error:
                await self._close(writers)
                if cause(error) is Exit.FENCED:
                    raise
                log.warning("%s cannot be taken over yet: %s", self.place(numbers), error)
            await asyncio.sleep(pause)
            if epoch != self._epoch:
                return None
            pause = min(2 * pause, LONGEST_PAUSE)
        if epoch != self._epoch:
            log.info("%s: taken away while being restored", self.place(numbers))
            await self._close(writers)
            return None
        count = len(self._tracks)
        return restored, [writers[index * count :][:count] for index in range(len(numbers))]

    async def _fence(self, numbers: Sequence[int], writers: list[Writer]) -> None:
        """Opens a writer for each partition and track. Those that could be opened are in `writers` also when another
        one could not, so that they can be closed.
        """
        opening = [self.factory.open(number, track) for number in numbers for track in self._tracks]
        faults = []
        for opened in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(opened, BaseException):
                faults.append(opened)
            else:
                writers.append(opened)
        if faults:
            raise faults[-1]

    async def _close(self, writers: Sequence[Writer]) -> None:
        await asyncio.gather(*map(self.factory.close, writers))
