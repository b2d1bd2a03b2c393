"""Why a broker refuses a client, or what it writes, and the mend, from the errors of the client library."""

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError

_CREDENTIALS = (
    "it does not take the user name or the password; check kafka.username, the password and kafka.sasl_mechanism"
)
REFUSALS = (
    ("Hostname mismatch", "its certificate is for another host; write kafka.bootstrap as the certificate names it"),
    ("IP address mismatch", "its certificate is for another host; write kafka.bootstrap as the certificate names it"),
    ("certificate has expired", "its certificate has expired; renew it, or set this machine's clock"),
    ("certificate is not yet valid", "its certificate is not valid yet; set this machine's clock"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is of an authority not trusted here; name that one's in kafka.ca_file",
    ),
    ("SaslAuthenticationFailed", _CREDENTIALS),
    ("UnsupportedSaslMechanism", "it does not offer kafka.sasl_mechanism; choose one that it has"),
    ("sasl mechanism", "it does not offer kafka.sasl_mechanism; choose one that it has"),
    ("IllegalSaslState", "it wants no password on this port; set kafka.security, or choose another port"),
)
"""A part of what aiokafka or OpenSSL says, and what it means; the first that fits."""


def refusal(kafka: Kafka, message: str) -> str | None:
    """What is wrong and how to mend it, or None where `message` says nothing of the kind."""
    for part, meaning in REFUSALS:
        if part in message:
            return meaning
    tls = kafka.security.endswith("SSL")
    # a broker that gets another protocol than it expects says nothing and closes
    if message.endswith(" closed"):
        certificate = "" if kafka.cert_file or not tls else " or a client's certificate (kafka.cert_file)"
        wants = "a password" if tls else "TLS or a password"
        return f"it closed the connection at once, so it may want {wants}{certificate}; check kafka.security"
    if tls and ("SSL" in message or message.endswith('": ')):
        return "it does not speak TLS on this port; set kafka.security, or choose another port"
    return None


_RIGHTS = "this client may not; give it the right to write there (docs/operations.md lists what each process needs)"
WRITE_REFUSALS = {
    "MessageSizeTooLargeError": "a record or batch is too large; raise max.message.bytes of the topic",
    "RecordListTooLargeError": "a batch is larger than a segment; raise segment.bytes of the topic",
    "InvalidTimestampError": "a record is older or newer than the topic takes; set message.timestamp.before.max.ms"
    " and message.timestamp.after.max.ms of the topic to 9223372036854775807",
    "PolicyViolationError": "a policy of the broker forbids it; see what it demands of the topic",
    "TopicAuthorizationFailedError": _RIGHTS,
    "ClusterAuthorizationFailedError": _RIGHTS,
    "TransactionalIdAuthorizationFailed": "this client may not use its transactional id; give it the right to"
    " those that begin with alphawire-",
}
"""Errors of aiokafka by which a write is answered, and would be after a restart, and the mend."""


def refused_write(error: BaseException, topic: str) -> ConfigurationError | None:
    """The user's to mend, where writing to `topic` failed because of a setting or a right; None for any other error."""
    meaning = WRITE_REFUSALS.get(type(error).__name__)
    return ConfigurationError(f"the broker refuses what is written to topic {topic}: {meaning}") if meaning else None
