"""The services of docker-compose.yml in their order, without Docker: the broker with its very settings, from the jars
of the image's version; the command of `topics`; the command and the healthcheck of `worker`; a graceful stop.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.brokers.probe import free_port
from tests.support.deadlines import Deadline, deadline
from tests.support.live import wait_for

ROOT = Path(__file__).parents[1]
SECONDS = 120.0


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


class ComposedBroker(ApacheKafkaBroker):
    """Apache Kafka with the settings of the service `kafka` alone; hosts, ports and folder are of this machine."""

    environment: dict[str, str]

    def _settings(self) -> dict[str, str]:
        # The image's rule: KAFKA_LOG_DIRS is log.dirs.
        settings = {
            name.removeprefix("KAFKA_").replace("_", ".").lower(): value
            for name, value in self.environment.items()
            if name.startswith("KAFKA_")
        }
        ports = {"9092": str(self.port)}
        for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
            for port in re.findall(r":(\d+)", settings[name]):
                ports.setdefault(port, str(free_port()))
            settings[name] = re.sub(r":(\d+)", lambda found: f":{ports[found[1]]}", settings[name])
            settings[name] = settings[name].replace("kafka:", "127.0.0.1:").replace("://:", "://127.0.0.1:")
        return settings | {"log.dirs": str(self._folder / "data")}


@pytest.fixture(scope="module")
def composed(java: None, services: dict[str, Any]) -> Iterator[ComposedBroker]:
    broker = ComposedBroker(version=services["kafka"]["image"].rpartition(":")[2])
    broker.environment = services["kafka"]["environment"]
    with broker:
        yield broker


def command(services: dict[str, Any], name: str) -> list[str]:
    """The service's command on this machine: the mounted file where it lies here."""
    source, target, _ = services[name]["volumes"][0].split(":")
    words = [str(ROOT / source) if word == target else word for word in services[name]["command"]]
    return [sys.executable, "-m", "alphawire", *words]


def here(services: dict[str, Any], broker: ComposedBroker, http_port: int) -> dict[str, str]:
    """The worker's environment, with this machine's addresses."""
    given = {name: str(value) for name, value in services["worker"]["environment"].items()}
    assert given["ALPHAWIRE_WORKER__HTTP_HOST"] == "0.0.0.0"
    return os.environ | given | {
        "ALPHAWIRE_KAFKA__BOOTSTRAP": broker.bootstrap,
        "ALPHAWIRE_WORKER__HTTP_HOST": "127.0.0.1",
        "ALPHAWIRE_WORKER__HTTP_PORT": str(http_port),
    }  # fmt: skip


def test_the_services_come_up_in_their_order(
    composed: ComposedBroker, services: dict[str, Any], tmp_path: Path
) -> None:
    port = free_port()
    environment = here(services, composed, port)
    for _ in range(2):  # a one-shot service runs again at the next `up`
        subprocess.run(command(services, "topics"), cwd=ROOT, env=environment, check=True, timeout=deadline(SECONDS))

    test = services["worker"]["healthcheck"]["test"]
    check = [sys.executable, *(word.replace("6066", str(port)) for word in test[2:])]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(command(services, "worker"), cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        # each check is a Python of its own: not before it can be green
        wait_for(lambda: b" restored in " in log.read_bytes() or worker.poll() is not None, SECONDS)
        limit = Deadline(SECONDS)
        while subprocess.run(check, capture_output=True).returncode:
            assert worker.poll() is None, log.read_text()
            assert not limit.passed, log.read_text()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(deadline(SECONDS)) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
