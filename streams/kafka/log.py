"""A log: topics that can be read again from an offset on. On a broker here; in Parquet in `streams.archive`."""

import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from schemas.configuration import Kafka
from streams.kafka.clients import offset_range, read_batches_to_end
from streams.kafka.gaps import Gaps
from streams.kafka.schema_registry import RegistrySchemas, Schemas
from streams.kafka.topics import partition_count, topic_name


class LogRecord(Protocol):
    """A record as a consumer hands it out."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


Texts = tuple[NDArray[np.uint8], IntArray]
"""Bytes one text after the other, and where each ends."""


class RecordColumns(Sequence[LogRecord]):
    """Records that lie in columns: they are objects only for who looks at one."""

    @property
    @abstractmethod
    def offsets(self) -> IntArray:
        """Of each record."""

    @abstractmethod
    def texts(self, name: str) -> Texts:
        """All of `name`, the keys or the values; none is as an empty one."""

    @abstractmethod
    def at(self, rows: Sequence[int]) -> list[LogRecord]:
        """The records of these rows."""


class Log(Protocol):
    """Topics, each by what alphawire calls it (``bars``); `topic_name` of a log gives the full name.

    With ``isolation="read_committed"`` a partition ends at the oldest open transaction, if there is one.
    """

    @property
    def prefix(self) -> str: ...

    @property
    def topics(self) -> Mapping[Any, str]:
        """Full names of topics that are not called by prefix and name."""
        ...

    @property
    def partitioner(self) -> str:
        """Which partition a symbol belongs to: murmur2, crc32, or as_is."""
        ...

    @property
    def bars_source(self) -> str:
        """How the topic of bars is read: `Kafka.bars_source`."""
        ...

    @property
    def schemas(self) -> Schemas | None:
        """Where the schemas of its records are; None: nothing says."""
        ...

    async def partition_count(self, topic: str = "bars") -> int:
        """How many partitions the topic has; `AlphawireError` when it is not there."""
        ...

    async def offset_range(self, topic: str, partition: int, isolation: str = "read_uncommitted") -> tuple[int, int]:
        """Offset of the oldest record of a partition, and of the one that would come next."""
        ...

    def batches(
        self,
        topic: str,
        partition: int,
        start: int = 0,
        isolation: str = "read_uncommitted",
        gaps: Gaps | None = None,
    ) -> AsyncGenerator[Sequence[LogRecord], None]:
        """Records of one partition from offset `start` up to the end that it had when this began, in their order.

        `gaps` learns which offsets from `start` on hold no records any more.
        """
        ...

    async def records(
        self, topic: str, partition: int, start: int = 0, isolation: str = "read_uncommitted"
    ) -> AsyncGenerator[LogRecord, None]:
        """The same, one record at a time."""
        async with contextlib.aclosing(self.batches(topic, partition, start, isolation)) as batches:
            async for records in batches:
                for record in records:
                    yield record


class KafkaLog(Log):
    """The topics of a broker."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self._schemas: Schemas | None = RegistrySchemas(kafka.registry) if kafka.registry else None

    @property
    def prefix(self) -> str:
        return self.kafka.prefix

    @property
    def topics(self) -> Mapping[Any, str]:
        return self.kafka.topics

    @property
    def bars_source(self) -> str:
        return self.kafka.bars_source

    @property
    def schemas(self) -> Schemas | None:
        return self._schemas

    @property
    def partitioner(self) -> str:
        return self.kafka.partitioner

    async def partition_count(self, topic: str = "bars") -> int:
        return await partition_count(self.kafka, topic)

    async def offset_range(self, topic: str, partition: int, isolation: str = "read_uncommitted") -> tuple[int, int]:
        return await offset_range(self.kafka, topic_name(self.kafka, topic), partition, isolation)

    def batches(
        self,
        topic: str,
        partition: int,
        start: int = 0,
        isolation: str = "read_uncommitted",
        gaps: Gaps | None = None,
    ) -> AsyncGenerator[Sequence[LogRecord], None]:
        return read_batches_to_end(self.kafka, topic_name(self.kafka, topic), partition, start, isolation, gaps)
