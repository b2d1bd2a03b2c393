"""The sections of the service: how to reach the broker, and how a worker runs."""

from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, model_validator

from schemas.configuration.fields import Addresses, Name, Section
from schemas.configuration.sources import Source

Topic = Literal[
    "bars", "signals", "predictions", "predictions.shadow", "news", "news.scores", "side.inputs", "plugins",
    "plugins.requests", "plugins.replies", "control", "dead-letters", "state", "trades", "trades.state",
]  # fmt: skip
"""Every topic, by what alphawire calls it."""
FullName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Registry(Section):
    """Where schemas of records are: a registry with Confluent's API."""

    url: str = Field(
        pattern=r"^https?://[^@\s]+$", description="such as http://localhost:8081; Apicurio: …/apis/ccompat/v7"
    )
    username: str | None = None
    password: SecretStr | None = Field(None, description="in the environment, never in the file")
    password_file: Path | None = Field(None, description="a file that holds the password alone")
    ca_file: Path | None = Field(None, description="certificates to trust; none: the system's")

    @model_validator(mode="after")
    def _not_in_the_clear(self) -> "Registry":
        host = (urlsplit(self.url).hostname or "").lower()
        if self.username and self.url.startswith("http:") and host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"a password would go to {host} unencrypted; give an https:// url")
        return self


class Kafka(Section):
    """How to reach the broker, and where the topics are."""

    bootstrap: Addresses = "localhost:9092"
    embedded: bool = Field(False, description="start the broker that the package ships, on `bootstrap`'s port")
    prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="prefix of every topic name")
    topics: dict[Topic, FullName] = Field(
        {}, description="full names of topics that are called otherwise, such as bars: md.ohlc; without the prefix"
    )
    encoding: dict[Literal["signals"], Literal["json", "avro"]] = Field(
        {}, description="of topics: signals are written in JSON, or in Avro with a schema of the registry"
    )
    group: Name = "alphawire"
    partitioner: Literal["murmur2", "crc32", "as_is"] = "murmur2"
    delivery: Literal["auto", "at_least_once", "exactly_once"] = "auto"
    compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = Field(
        "zstd", description="of every batch that is written; choose one that all readers of the topics know"
    )
    partitions: int = Field(4, ge=1, le=1000, description="of topics that alphawire creates")
    news_partitions: int = Field(2, ge=1, le=1000, description="of the topic news; the most scorers that can share it")
    replication: int = Field(1, ge=1, le=10)
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = None
    password: SecretStr | None = Field(None, description="in the environment, never in the file")
    password_file: Path | None = Field(None, description="a file that holds the password alone")
    ca_file: Path | None = None
    cert_file: Path | None = Field(None, description="the client's certificate, for a broker that wants one")
    key_file: Path | None = Field(None, description="its private key, not encrypted; none: it is in cert_file")
    session_timeout: float = Field(
        10.0, ge=1.0, le=3600.0, description="seconds without a heartbeat after which a worker is given up"
    )

    registry: Registry | None = Field(None, description="of schemas, for sources in Avro, Protobuf and JSON Schema")
    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def bars_source(self) -> str:
        """How the topic of bars is read, as `sources` declares it, in JSON; empty: its records are alphawire's own."""
        return self.source_of("bars")

    def source_of(self, topic: Topic) -> str:
        """The same of any topic."""
        return self._sources.get(topic, "")

    def read_as(self, topic: Topic, source: Source | None) -> None:
        """Says how a topic is read; the configuration does it, whose sources are."""
        self._sources[topic] = source.model_dump_json(exclude_defaults=True) if source else ""

    @model_validator(mode="after")
    def _avro_needs_a_registry(self) -> "Kafka":
        if self.encoding.get("signals") == "avro" and self.registry is None:
            raise ValueError("encoding.signals: avro needs kafka.registry: {url: …}, and `alphawire schemas register`")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> "Kafka":
        taken: dict[str, str] = {}
        for topic in get_args(Topic):
            name = self.topics.get(topic, self.prefix + topic)
            if name in (".", ".."):
                raise ValueError(f"topics.{topic}: {name} is no name of a topic")
            if name in taken:
                raise ValueError(f"the topics {taken[name]} and {topic} are both called {name}; name one otherwise")
            taken[name] = topic
        return self


class Worker(Section):
    """How a worker runs."""

    commit_interval: float = Field(
        0.1, gt=0, le=60, description="seconds: the longest wait before what is published is marked"
    )
    snapshot_interval: float = Field(30.0, gt=0, description="seconds between rounds of snapshots")
    chunk: int = Field(2000, ge=1, le=100_000, description="records worked on at once")
    pending: int = Field(20_000, ge=1, description="signals that may wait for the broker before a worker stops reading")
    delivery_timeout: float = Field(
        60.0, gt=0, description="seconds to wait for a slow or absent broker before the process ends"
    )
    stop_timeout: float = Field(20.0, gt=0, description="seconds for a graceful stop")
    stall_timeout: float = Field(
        120.0, gt=0, description="seconds with lag and without progress after which the process ends"
    )
    ready_lag: int = Field(
        10_000, ge=0, description="records of a partition that may wait before a worker is not ready"
    )
    reference_grace: float = Field(5.0, ge=0, le=3600, description="seconds that a bar waits for its reference's")
    clock_tolerance: float | None = Field(
        300.0,
        ge=0,
        le=1e12,
        description="seconds after the worker's clock at which a bar may open; one that opens later is a dead letter;"
        " null: no bound",
    )
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http: bool = True
    http_host: str = "127.0.0.1"
    http_port: int = Field(6066, ge=0, le=65535)
    http_names: tuple[str, ...] = Field(
        (), description="names by which clients may ask for the pages, beside addresses and localhost"
    )


LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Gateway(Section):
    """How ``alphawire gateway`` serves signals; see docs/gateway.md."""

    http_host: str = Field("127.0.0.1", description="where it listens; other than loopback only with a token_file")
    http_port: int = Field(6069, ge=0, le=65535, description="0 takes a free one")
    token_file: Path | None = Field(None, description="its first line is the token that clients send")
    clients: int = Field(256, ge=1, le=100_000, description="streams at a time; more are asked to come back later")
    patience: float = Field(10.0, gt=0, le=3600, description="seconds, then a client that reads nothing is cut off")

    @model_validator(mode="after")
    def _nobody_elses(self) -> "Gateway":
        if self.http_host not in LOOPBACK and self.token_file is None:
            raise ValueError(
                f"http_host {self.http_host} lets others read the signals; give a token_file, or listen on 127.0.0.1"
            )
        return self
