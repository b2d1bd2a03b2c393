"""Which partition a key goes to, as Kafka's clients decide it."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka.partitioner import murmur2

from schemas.errors import ConfigurationError

CLIENTS = {
    "murmur2": "librdkafka: partitioner=murmur2_random; kafka-go: Murmur2Balancer; sarama: NewMurmur2Partitioner",
    "crc32": "librdkafka: partitioner=consistent_random; kafka-go: CRC32Balancer;"
    " sarama: NewConsistentCRCHashPartitioner",
}
"""What clients of other libraries must be set to, so that they place keys so."""
SHOWN = 5


class PartitionerChange(NamedTuple):
    """From `offset` on, `partitioner` says which symbols belong on a partition, and `source` how its records are read:
    as `Kafka.bars_source` has it.
    """

    offset: int
    partitioner: str
    source: str = ""


def in_force(changes: Sequence[PartitionerChange], offset: int) -> PartitionerChange | None:
    """The change that holds at an offset; None: no change says."""
    return next((change for change in reversed(changes) if change.offset <= offset), None)


def with_change(changes: Sequence[PartitionerChange], change: PartitionerChange) -> list[PartitionerChange]:
    """What holds once `change` is on the log too. One that says nothing new is a repetition by another strategy.

    >>> [tuple(change) for change in with_change([PartitionerChange(0, "murmur2")], PartitionerChange(40, "crc32"))]
    [(0, 'murmur2', ''), (40, 'crc32', '')]
    """
    if (known := in_force(changes, change.offset)) and known[1:] == change[1:]:
        return list(changes)
    return [*(earlier for earlier in changes if earlier.offset < change.offset), change]


def partition_of(key: bytes, partitions: int, kind: str) -> int:
    """Partition of `key` among `partitions`, 0 to partitions - 1.

    Parameters
    ----------
    kind
        ``murmur2``: ``(murmur2(key) & 0x7fffffff) % partitions``, the default of the Java client, aiokafka and
        kafka-python.
        ``crc32``: ``crc32(key) % partitions``, librdkafka's default (`consistent_random`) for a key that is not
        empty; an empty key it sends anywhere, here it counts as its CRC, 0.

    Raises
    ------
    ConfigurationError
        For ``as_is``, where the key tells no partition, or another kind.
    """
    if kind == "murmur2":
        return int(murmur2(key) & 0x7FFFFFFF) % partitions
    if kind == "crc32":
        return zlib.crc32(key) % partitions
    raise ConfigurationError(f"kafka.partitioner {kind} does not tell a key's partition; choose murmur2 or crc32")


def misplaced(symbol: str, partition: int, partitions: int, kind: str) -> str | None:
    """Why a record of `symbol` does not belong on `partition`, and the mend, the producer's first; None: it does."""
    if kind == "as_is" or (home := partition_of(symbol.encode(), partitions, kind)) == partition:
        return None
    other = "crc32" if kind == "murmur2" else "murmur2"
    fits = partition_of(symbol.encode(), partitions, other) == partition
    guess = f"; or, where all of the producer's symbols lie as {other} says, set kafka.partitioner: {other}"
    return (
        f"{symbol} belongs on partition {home} by {kind}, and lies on {partition}: set the producer to {kind}"
        f" ({CLIENTS[kind]})" + (guess if fits else "")
    )


def scattered(places: Mapping[str, Iterable[int]], topic: str) -> str | None:
    """What is wrong where symbols have bars on several partitions, and the mend; None: none has."""
    found = {symbol: sorted(numbers) for symbol, numbers in sorted(places.items())}
    several = [(symbol, numbers) for symbol, numbers in found.items() if len(numbers) > 1]
    if not several:
        return None
    examples = "; ".join(f"{symbol} on {', '.join(map(str, numbers))}" for symbol, numbers in several[:SHOWN])
    more = f"; and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
    return (
        f"{len(several)} of the symbols have bars on more than one partition of {topic} ({examples}{more}): each"
        " partition knows only a part of them, so what is decided about them is wrong; make the producer place bars"
        f" by their key ({CLIENTS['murmur2']}), and send them to new topics (another kafka.prefix)"
    )
