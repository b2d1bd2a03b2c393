"""Looks at the log while a run goes on: is what a marker says already true at that moment?"""

import asyncio
import json
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from schemas.configuration import Config
from schemas.errors import BrokerError
from streams.kafka.clients import offset_range, read_partition_to_end
from streams.kafka.topics import topic_name
from tests.support.deadlines import Deadline, deadline

PAUSE, BACK = 1.0, 30.0
VISIBLE = 10.0
"""Seconds within which an open transaction is expected to end; after a longer one the marker is looked at again."""


@dataclass(frozen=True)
class Observation:
    """A marker, and how many distinct signals of bars before it were there when it was seen, by strategy."""

    partition: int
    offset: int
    signals: dict[str, int]


class Watch(threading.Thread):
    """Reads on from where the last look ended: first the markers, then the signals, so that these may only be more.

    Kafka makes a transaction visible partition by partition: its coordinator writes an end to each of them, and may die
    between two. So the signals are read when all that had been written to them at the sight of the marker is decided.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(name="watch", daemon=True)
        self.config = config
        self.markers: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self.observations: list[Observation] = []
        self._next: Counter[tuple[str, int]] = Counter()
        self._waiting: dict[tuple[int, str], set[int]] = defaultdict(set)
        self._counted: Counter[tuple[int, str]] = Counter()
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def ends(self) -> dict[int, int]:
        """Where each partition of bars ends now; a broker that has just come back is asked until it answers."""
        kafka = self.config.kafka

        async def run() -> dict[int, int]:
            topic = topic_name(kafka, "bars")
            return {number: (await offset_range(kafka, topic, number))[1] for number in range(kafka.partitions)}

        back = Deadline(BACK)
        while True:
            try:
                return asyncio.run(run())
            except BrokerError:
                if back.passed:
                    raise
                self._stopping.wait(PAUSE)

    def reached(self, ends: dict[int, int]) -> bool:
        """Everything before `ends` is published, as the markers say."""
        return all(self.markers.get(number, 0) >= end for number, end in ends.items())

    def run(self) -> None:
        while not self._stopping.wait(PAUSE):
            try:
                asyncio.run(self._look())
            except (BrokerError, KafkaError, TimeoutError, OSError):
                continue  # the broker is down: another look

    async def _look(self) -> None:
        for number in range(self.config.kafka.partitions):
            async for value in self._new("state", number):
                if b'"kind":"marker"' in value[:40]:
                    self._seen[number] = json.loads(value)["offset"]
            marker = self._seen.get(number)
            if marker is None or marker == self.markers.get(number):
                continue
            await self._decided("signals", number)
            async for value in self._new("signals", number):
                signal = json.loads(value)
                self._waiting[number, signal["content"]["strategy"]].add(signal["provenance"]["offset"])
            self.observations.append(Observation(number, marker, self._before(number, marker)))
            self.markers[number] = marker

    async def _decided(self, topic: str, number: int) -> None:
        """Returns when every transaction that has written to the partition until now has ended."""
        kafka, name = self.config.kafka, topic_name(self.config.kafka, topic)
        _, written = await offset_range(kafka, name, number)
        async with asyncio.timeout(deadline(VISIBLE)):
            while (await offset_range(kafka, name, number, "read_committed"))[1] < written:
                await asyncio.sleep(0.1)

    def _before(self, number: int, marker: int) -> dict[str, int]:
        """How many signals are of bars before `marker`, by strategy; a marker never goes back."""
        for (partition, strategy), waiting in self._waiting.items():
            if partition == number:
                covered = {source for source in waiting if source < marker}
                waiting -= covered
                self._counted[partition, strategy] += len(covered)
        return {strategy: count for (partition, strategy), count in self._counted.items() if partition == number}

    async def _new(self, topic: str, number: int):  # type: ignore[no-untyped-def]
        at = (topic, number)
        name = topic_name(self.config.kafka, topic)
        async for record in read_partition_to_end(self.config.kafka, name, number, self._next[at], "read_committed"):
            self._next[at] = record.offset + 1
            if record.value is not None:
                yield record.value
