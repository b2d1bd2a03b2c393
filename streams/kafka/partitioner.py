"""Which partition a key goes to, as Kafka's clients decide it."""

import zlib

from aiokafka.partitioner import murmur2

from schemas.errors import ConfigurationError


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
