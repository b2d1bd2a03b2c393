"""Which partition a key goes to, as Kafka's clients decide it."""

import zlib

from schemas.errors import ConfigurationError

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit MurmurHash2 (Austin Appleby) with the seed 0x9747b28c, as in Kafka's Java client; 0 to 2**32 - 1."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


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
        return (murmur2(key) & 0x7FFFFFFF) % partitions
    if kind == "crc32":
        return zlib.crc32(key) % partitions
    raise ConfigurationError(f"kafka.partitioner {kind} does not tell a key's partition; choose murmur2 or crc32")
