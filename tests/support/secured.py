"""Apache Kafka with TLS and passwords, its certificates made for the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

from streams.kafka.brokers import ApacheKafkaBroker
from streams.kafka.brokers.probe import free_port

USER, PASSWORD = "trader", "kl3ar-TEXT-s3cret"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = {
    "SASL": "SASL_SSL",
    "MUTUAL": "SSL",
    "ONEWAY": "SSL",
    "OTHERNAME": "SSL",
    "EXPIRED": "SSL",
    "CLEAR": "SASL_PLAINTEXT",
}
"""Each listener, and what it speaks."""


@dataclass
class Secured:
    """The broker, its listeners' addresses, and the files of certificates."""

    broker: ApacheKafkaBroker
    ports: dict[str, int]
    ca: Path
    other_ca: Path
    client: Path
    password: Path

    def kafka(self, listener: str, **changes: Any) -> dict[str, Any]:
        """The section `kafka` of a configuration for that listener, as it should be."""
        security = PROTOCOLS[listener]
        settings: dict[str, Any] = {"bootstrap": f"localhost:{self.ports[listener]}", "security": security}
        if security.endswith("SSL"):
            settings["ca_file"] = str(self.ca)
        if security.startswith("SASL"):
            settings |= {"username": USER, "password_file": str(self.password), "sasl_mechanism": "SCRAM-SHA-512"}
        if listener == "MUTUAL":
            settings["cert_file"] = str(self.client)
        return {name: value for name, value in (settings | changes).items() if value is not None}


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    ca, other = trustme.CA(), trustme.CA()
    old = datetime(2020, 1, 1, tzinfo=UTC)
    certificates = {
        "SASL": ca.issue_cert("localhost"),
        "MUTUAL": ca.issue_cert("localhost"),
        "ONEWAY": ca.issue_cert("localhost"),
        "OTHERNAME": ca.issue_cert("kafka.example.org"),
        "EXPIRED": ca.issue_cert("localhost", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=old),
    }
    files = {name: folder / f"{name}.pem" for name in ("ca", "other", "client")}
    ca.cert_pem.write_to_path(str(files["ca"]))
    other.cert_pem.write_to_path(str(files["other"]))
    ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(str(files["client"]))
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    ports = {name: free_port() for name in PROTOCOLS}
    broker = ApacheKafkaBroker(
        properties=_properties(folder, certificates, files["ca"]),
        listeners=[f"{name}://localhost:{port}" for name, port in ports.items()],
        format_options=[
            word
            for mechanism in MECHANISMS[1:]
            for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ],
    )
    with broker:
        yield Secured(broker, ports, files["ca"], files["other"], files["client"], password)


def _properties(folder: Path, certificates: dict[str, trustme.LeafCert], ca: Path) -> dict[str, str]:
    speaks = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | PROTOCOLS
    settings = {
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in speaks.items()),
        "group.min.session.timeout.ms": "1000",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(ca),
    }
    for name, certificate in certificates.items():
        settings |= {
            f"listener.name.{name.lower()}.ssl.keystore.type": "PEM",
            f"listener.name.{name.lower()}.ssl.keystore.location": str(_key_store(folder / f"{name}.pem", certificate)),
        }
    plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    for name in ("sasl", "clear"):
        settings[f"listener.name.{name}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        settings[f"listener.name.{name}.plain.sasl.jaas.config"] = plain
        for mechanism in MECHANISMS[1:]:
            settings[f"listener.name.{name}.{mechanism.lower()}.sasl.jaas.config"] = scram
    return settings


def _key_store(file: Path, certificate: trustme.LeafCert) -> Path:
    """Key and certificates in one file; Kafka reads keys as PKCS #8 alone."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return file
