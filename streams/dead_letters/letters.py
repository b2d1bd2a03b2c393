"""What is on the topic `dead-letters`: letters, and the marks of those that were put back.

A mark is a record on the same topic and partition, without a value, whose header `replayed` names the letter's place.
On a broker without transactions a record with the header `replaying` comes before the letter is put back.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from streams.kafka.clients import read_partition_to_end
from streams.kafka.topics import partition_count, topic_name

REPLAYED, REPLAYING, REPLAYED_FROM = "replayed", "replaying", "replayed-from"
"""Headers of a mark, of an intention, and of the record that was put back."""


class Place(NamedTuple):
    """Partition and offset of a letter, written ``PARTITION:OFFSET``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """`ConfigurationError` for what is no place."""
        partition, colon, offset = text.partition(":")
        # ASCII digits alone: isdigit() also likes ²
        if not (colon and text.isascii() and partition.isdigit() and offset.isdigit() and len(text) <= 40):
            raise ConfigurationError(
                f"{text[:80]!r} is no place of a dead letter; write PARTITION:OFFSET, such as 0:17"
            )
        return cls(int(partition), int(offset))


@dataclass(frozen=True)
class Letter:
    """One record that could not be used, and where it came from."""

    place: Place
    topic: str
    partition: int
    offset: int
    error: str
    reason: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    truncated: int | None
    """Size in bytes of the original value, when only its beginning is here."""
    sha256: str | None
    """Of the original value, when only its beginning is here."""
    key_truncated: int | None = None

    @property
    def whole(self) -> bool:
        return self.truncated is None and self.key_truncated is None


@dataclass(frozen=True)
class Choice:
    """Which letters: all conditions together; times are those of the records, milliseconds since the epoch."""

    errors: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    places: frozenset[Place] = frozenset()
    start: int | None = None
    end: int | None = None

    def takes(self, letter: Letter) -> bool:
        return (
            (not self.errors or letter.error in self.errors)
            and (not self.places or letter.place in self.places)
            and (self.start is None or letter.timestamp >= self.start)
            and (self.end is None or letter.timestamp < self.end)
        )

    def reads(self, partition: int) -> bool:
        """Can there be any on that partition of `dead-letters`?"""
        return (not self.partitions or partition in self.partitions) and (
            not self.places or any(place.partition == partition for place in self.places)
        )


@dataclass
class Selection:
    """The letters of a choice in log order, partition by partition, and what became of them."""

    letters: list[Letter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    replayed: set[Place] = field(default_factory=set)
    begun: dict[Place, dict[int, int]] = field(default_factory=dict)
    """Letters with an intention: on which partitions they may be already, and from which offset on."""
    foreign: int = 0

    @property
    def open(self) -> list[Letter]:
        return [letter for letter in self.letters if letter.place not in self.replayed]


async def find_letters(kafka: Kafka, choice: Choice, limit: int | None = None) -> Selection:
    """Reads `dead-letters` to its end. All that are chosen are counted; with `limit` only the newest so many of each
    partition are kept.

    Raises
    ------
    BrokerError
        When the broker does not answer or lacks the topic.
    """
    selection = Selection()
    name = topic_name(kafka, "dead-letters")
    for partition in filter(choice.reads, range(await partition_count(kafka, "dead-letters"))):
        kept: list[Letter] = []
        async for record in read_partition_to_end(kafka, name, partition, isolation="read_committed"):
            letter = _take(selection, record)
            if letter is not None and choice.takes(letter):
                selection.counts[letter.error] += 1
                kept.append(letter)
                if limit is not None and len(kept) > 2 * limit:
                    del kept[:-limit]
        selection.letters += kept if limit is None else kept[-limit:]
    return selection


def _take(selection: Selection, record: Any) -> Letter | None:
    """The letter that the record is, or None: a mark is noted, and what is neither is counted."""
    try:
        headers = _headers(record.headers)
        if REPLAYED in headers:
            selection.replayed.add(Place.parse(headers[REPLAYED]))
        elif REPLAYING in headers:
            at = Place.parse(headers["to"])
            selection.begun.setdefault(Place.parse(headers[REPLAYING]), {}).setdefault(at.partition, at.offset)
        else:
            return _letter(record, headers)
    except (KeyError, ValueError, ConfigurationError):
        selection.foreign += 1
    return None


def _headers(pairs: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    return {name: (value or b"").decode("utf-8", "replace") for name, value in pairs}


def _letter(record: Any, headers: Mapping[str, str]) -> Letter:
    truncated, key_truncated = headers.get("truncated"), headers.get("key-truncated")
    return Letter(
        place=Place(record.partition, record.offset),
        topic=headers["topic"],
        partition=int(headers["partition"]),
        offset=int(headers["offset"]),
        error=headers["error"],
        reason=headers["reason"],
        key=record.key,
        value=record.value,
        timestamp=record.timestamp,
        truncated=None if truncated is None else int(truncated),
        sha256=headers.get("sha256"),
        key_truncated=None if key_truncated is None else int(key_truncated),
    )
