"""Expected: Apache Kafka's `UtilsTest.testMurmur2`, librdkafka's `tests/0048-partitioner.c`, aiokafka itself."""

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from streams.kafka.partitioner import partition_of

MURMUR2 = {  # signed, as Java prints them
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
    b"": 275646681,
}
LIBRDKAFKA = {  # crc32, murmur2 & 0x7fffffff
    b"23456": (0xB1B451D7, 0x058D780F),
    b"this is another string with more length to it perhaps": (0xB0150DF7, 0x4F7703DA),
    b"hejsan": (0xD077037E, 0x5EC19395),
}


@pytest.mark.parametrize("key", MURMUR2)
def test_murmur2_is_javas(key: bytes) -> None:
    assert murmur2(key) == MURMUR2[key] % 2**32


@pytest.mark.parametrize("key", LIBRDKAFKA)
def test_partitions_are_librdkafkas(key: bytes) -> None:
    crc32, hashed = LIBRDKAFKA[key]
    for partitions in (1, 7, 17, 100):
        assert partition_of(key, partitions, "crc32") == crc32 % partitions
        assert partition_of(key, partitions, "murmur2") == hashed % partitions


@given(st.binary(max_size=70), st.integers(1, 1000))
def test_murmur2_sends_where_aiokafka_sends(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions, "murmur2") == DefaultPartitioner()(key, everywhere, everywhere)


def test_as_is_tells_no_partition() -> None:
    with pytest.raises(ConfigurationError, match="choose murmur2 or crc32"):
        partition_of(b"AAPL", 4, "as_is")
