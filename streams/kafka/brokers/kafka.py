"""Apache Kafka on this machine: one node, KRaft, with the jars from Maven Central, so without Docker."""

import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from schemas.errors import BrokerError
from streams.kafka.brokers.base import HOST, Broker
from streams.kafka.brokers.jars import KAFKA_VERSION, java, kafka_jars
from streams.kafka.brokers.probe import free_port

SETTINGS = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",  # a mistyped topic must be an error
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # a broker that was killed is let in again when its old registration has expired
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.backoff.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Of Java: for a broker that is up soon and lives shortly."""
SERVER_JVM = ("-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent")  # fmt: skip
"""As Kafka's own start script has it: hot code is compiled for speed, which takes its time."""
LOGGING = ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS")


class ApacheKafkaBroker(Broker):
    """One node of Apache Kafka, broker and controller in one.

    Its data outlives `stop` when `data_dir` is given, and `kill` always: `start` goes on from it, on the same port.

    Parameters
    ----------
    port, data_dir
        As of `Broker`.
    properties
        Settings over ours, by Kafka's names: ``{"group.min.session.timeout.ms": "1000", "message.max.bytes":
        "10485760"}``.
    listeners
        More of them, beside the plain one on `port`: ``["SECURE://localhost:9093"]``; what they are, `properties` say
        (``listener.security.protocol.map`` and the like).
    format_options
        Of the tool that prepares the storage: ``["--add-scram", "SCRAM-SHA-256=[name=me,password=secret]"]``.
    version
        Of Apache Kafka.
    jvm
        Options of Java: `JVM` or `SERVER_JVM`.
    """

    kind: ClassVar[str] = "kafka"
    title: ClassVar[str] = f"Apache Kafka {KAFKA_VERSION}"
    start_timeout: ClassVar[float] = 90.0
    stop_timeout: ClassVar[float] = 20.0

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | None = None,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[str] = (),
        format_options: Sequence[str] = (),
        version: str = KAFKA_VERSION,
        jvm: Sequence[str] = JVM,
    ) -> None:
        super().__init__(port, data_dir)
        self.properties = dict(properties or {})
        self.listeners = tuple(listeners)
        self.format_options = tuple(format_options)
        self.version = version
        self.jvm = tuple(jvm)

    def _command(self) -> list[str]:
        # Java takes the encoding of file names from the locale
        program = [
            "env",
            "LC_ALL=C.UTF-8",
            java(),
            *self.jvm,
            *(f"-Dorg.slf4j.simpleLogger.{setting}" for setting in LOGGING),
        ]
        program += ["-cp", f"{kafka_jars(self.version)}/*"]
        settings = self._folder / "server.properties"
        settings.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in self._settings().items()), "ascii")
        if not (self._folder / "data" / "meta.properties").exists():
            self._format([*program, "kafka.tools.StorageTool"], settings)
        return [*program, "kafka.Kafka", str(settings)]

    def _settings(self) -> dict[str, str]:
        controller = free_port(HOST)
        ours = [f"PLAINTEXT://{self.bootstrap}", *self.listeners]
        return SETTINGS | {
            "listeners": ",".join([*ours, f"CONTROLLER://{HOST}:{controller}"]),
            "advertised.listeners": ",".join(ours),
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self._folder / "data"),
        } | self.properties  # fmt: skip

    def _format(self, tool: list[str], settings: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # with "=", as one in 64 such names begins with a hyphen, and would be taken for an option
        command = [*tool, "format", f"--cluster-id={cluster}", "-c", str(settings), *self.format_options]
        run = subprocess.run(command, capture_output=True, text=True, timeout=self.start_timeout, check=False)
        if run.returncode:
            lines = (run.stderr.strip() or run.stdout.strip() or "it gave no reason").splitlines()
            raise BrokerError(f"cannot format Kafka's storage in {self._folder}: {lines[0][:300]}")


def _escaped(value: str) -> str:
    """As Java reads a properties file: Latin-1, with escapes."""
    escaped = (f"\\u{ord(letter):04x}" if ord(letter) > 126 or letter == "\\" else letter for letter in value)
    return "".join(escaped)
