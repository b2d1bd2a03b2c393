"""Apache Kafka with a listener for each worker, reached through a proxy, and its log on a disk that can be full."""

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.brokers.probe import free_port
from tests.conftest import KAFKA_FOR_TESTS
from tests.faults.proxy import HOST, Proxy

DISK_MB = 1500
PROPERTIES = KAFKA_FOR_TESTS | {
    "log.index.size.max.bytes": "1048576",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


class FaultBroker(ApacheKafkaBroker):
    """Clients of the listener W0 are told the first proxy's address, and so stay on it; and so on."""

    def __init__(self, data_dir: Path, proxies: list[Proxy]) -> None:
        super().__init__(data_dir=data_dir, properties=PROPERTIES)
        self._proxies = proxies

    def _settings(self) -> dict[str, str]:
        settings = super()._settings()
        for number, proxy in enumerate(self._proxies):
            settings["listeners"] += f",W{number}://{HOST}:{proxy.target}"
            settings["advertised.listeners"] += f",W{number}://{HOST}:{proxy.port}"
            settings["listener.security.protocol.map"] += f",W{number}:PLAINTEXT"
        return settings

    @property
    def log(self) -> Path:
        """Not on the disk that is filled."""
        return self._folder.parents[1] / "kafka.log"

    def pause(self) -> None:
        os.kill(self.pid or 0, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid or 0, signal.SIGCONT)


class Disk:
    """A file system of its own for the broker's log, in memory; only root can mount it, else it is an ordinary
    folder that never fills.
    """

    def __init__(self, folder: Path, megabytes: int = DISK_MB) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "alphawire-faults", str(folder)]
        self.own = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Nothing more can be written."""
        with self._ballast.open("wb", buffering=0) as file:
            block = bytes(1 << 20)
            for size in (len(block), 4096, 1):
                try:
                    while True:
                        file.write(block[:size])
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.own:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)


class Cluster:
    """Broker, disk and `workers` proxies, as long as the block runs; several suites share one through prefixes."""

    def __init__(self, folder: Path, workers: int = 3) -> None:
        self.disk = Disk(folder / "disk")
        self.proxies = [Proxy(free_port(HOST)) for _ in range(workers)]
        self.broker = FaultBroker(self.disk.folder / "kafka", self.proxies)

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    @property
    def logs(self) -> Path:
        """Where the broker keeps its partitions."""
        return self.disk.folder / "kafka" / "data"

    def __enter__(self) -> Self:
        self.broker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.broker.stop()
        for proxy in self.proxies:
            proxy.close()
        self.disk.close()
