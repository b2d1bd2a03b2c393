"""The broker that a configuration with ``kafka.embedded: true`` asks for."""

import contextlib
from collections.abc import Iterator

from schemas.configuration import Kafka
from streams.kafka.brokers.tansu import TansuBroker


@contextlib.contextmanager
def embedded(kafka: Kafka) -> Iterator[None]:
    """Runs the broker of the package on the port of `kafka.bootstrap` while the block runs, if the configuration says
    so.
    """
    if not kafka.embedded:
        yield
        return
    with TansuBroker(int(kafka.bootstrap.rpartition(":")[2] or 9092)):
        yield
