"""Brokers that alphawire starts and stops itself, on loopback, for development, the demo and the tests."""

from pathlib import Path

from schemas.errors import ConfigurationError
from streams.kafka.brokers.base import Broker
from streams.kafka.brokers.kafka import ApacheKafkaBroker
from streams.kafka.brokers.tansu import TansuBroker

__all__ = ["ENGINES", "ApacheKafkaBroker", "Broker", "TansuBroker", "start_broker"]

ENGINES: dict[str, type[Broker]] = {"tansu": TansuBroker, "kafka": ApacheKafkaBroker}


def start_broker(engine: str = "tansu", port: int = 0, data_dir: Path | None = None) -> Broker:
    """A running broker: ``tansu`` (embedded, in memory) or ``kafka`` (Apache Kafka, which needs Java and Maven).

    Raises
    ------
    ConfigurationError
        For another engine, or a `data_dir` for one that keeps nothing.
    BrokerError
        When it does not come up.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"there is no broker engine {engine!r}; there is: {', '.join(ENGINES)}")
    if engine == "tansu" and data_dir is not None:
        raise ConfigurationError("tansu keeps its data in memory and has no use for a data folder; use --engine kafka")
    return ENGINES[engine](port, data_dir).start()
