"""How a client is let in: the password, from the environment or a file, and TLS."""

import ipaddress
import ssl
from typing import Any

from schemas.configuration import Kafka
from schemas.configuration.kafka_and_worker import Registry
from schemas.errors import ConfigurationError
from streams.kafka.client_logging import keep_secrets


def credentials(kafka: Kafka) -> dict[str, Any]:
    """What aiokafka's clients take for SASL and TLS.

    Raises
    ------
    ConfigurationError
        For a password that would travel in the clear to another machine, or a file that cannot be read.
    """
    settings: dict[str, Any] = {}
    if _has_password(kafka):
        keep_secrets()
    if _has_password(kafka) or kafka.security.startswith("SASL"):
        settings |= _sasl(kafka)
    if kafka.security.endswith("SSL"):
        settings["ssl_context"] = _tls(kafka)
    elif kafka.ca_file or kafka.cert_file or kafka.key_file:
        # whoever names certificates believes that they are looked at
        raise ConfigurationError(
            f"kafka.security {kafka.security} uses no certificates; set kafka.security: SSL or SASL_SSL,"
            " or leave out kafka.ca_file, cert_file and key_file"
        )
    return settings


def _has_password(kafka: Kafka) -> bool:
    return kafka.password is not None or kafka.password_file is not None


def _sasl(kafka: Kafka) -> dict[str, Any]:
    if not kafka.security.startswith("SASL"):
        raise ConfigurationError(
            f"kafka.password is set, but kafka.security {kafka.security} does not use it; set kafka.security: SASL_SSL"
        )
    if kafka.username is None or not _has_password(kafka):
        raise ConfigurationError(
            f"kafka.security {kafka.security} needs kafka.username and a password:"
            " ALPHAWIRE_KAFKA__PASSWORD in the environment, or kafka.password_file"
        )
    if kafka.security == "SASL_PLAINTEXT" and not _on_loopback(kafka.bootstrap):
        raise ConfigurationError(f"a password would go to {kafka.bootstrap} unencrypted; set kafka.security: SASL_SSL")
    return {
        "sasl_mechanism": kafka.sasl_mechanism,
        "sasl_plain_username": kafka.username,
        "sasl_plain_password": secret(kafka),
    }


def secret(of: Kafka | Registry) -> str:
    """From the environment or the file; its last line end is none of the password."""
    section = "kafka" if isinstance(of, Kafka) else "kafka.registry"
    if of.password is not None and of.password_file is not None:
        raise ConfigurationError(f"there is both a {section}.password and a {section}.password_file; give one of them")
    if of.password is not None:
        return of.password.get_secret_value()
    if of.password_file is None:
        raise ConfigurationError(f"{section}.username needs a password: {section}.password_file")
    try:
        password = of.password_file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{section}.password_file {of.password_file} cannot be read: {reason}") from None
    if not password or len(password.splitlines()) > 1:
        raise ConfigurationError(f"{section}.password_file {of.password_file} does not hold one line, the password")
    return password


def _on_loopback(bootstrap: str) -> bool:
    return all(_is_loopback(address.strip().rpartition(":")[0] or address.strip()) for address in bootstrap.split(","))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _tls(kafka: Kafka) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(kafka.ca_file) if kafka.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"kafka.ca_file {kafka.ca_file} cannot be used: {error}") from None
    if kafka.key_file is not None and kafka.cert_file is None:
        raise ConfigurationError("kafka.key_file needs kafka.cert_file, the certificate that it belongs to")
    if kafka.cert_file is not None:
        key = str(kafka.key_file) if kafka.key_file else None
        try:
            # without a password here OpenSSL would ask for one at the terminal
            context.load_cert_chain(str(kafka.cert_file), key, password="")
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"kafka.cert_file {kafka.cert_file} with key_file {kafka.key_file} cannot be used: {error};"
                " both are PEM, and the key is not encrypted"
            ) from None
    return context
