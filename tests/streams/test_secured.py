"""TLS and passwords against an Apache Kafka that asks for them; and the password appears nowhere."""

import asyncio
import base64
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.configuration import Config, Kafka, load_config
from schemas.errors import BrokerError
from streams.kafka.brokers.probe import free_port
from streams.kafka.clients import gives_producer_ids, open_admin, open_consumer, open_producer, read_partition_to_end
from streams.kafka.topics import TOPICS, topic_name
from tests.support.deadlines import deadline
from tests.support.forked import run
from tests.support.live import SignalCount, WorkerProcess, minute_bars, strategy, wait_for
from tests.support.secured import MECHANISMS, PASSWORD, PROTOCOLS, Secured, secured

pytestmark = [pytest.mark.broker, pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def locked(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as found:
        yield found


def connect(settings: dict[str, Any]) -> None:
    async def run() -> None:
        kafka = Kafka(**settings)
        async with open_producer(kafka), open_admin(kafka), open_consumer(kafka):
            pass
        assert await gives_producer_ids(kafka)

    asyncio.run(run())


# --- who is let in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("listener", ["SASL", "CLEAR"])
def test_a_password_lets_in(locked: Secured, listener: str, mechanism: str) -> None:
    connect(locked.kafka(listener, sasl_mechanism=mechanism))


@pytest.mark.parametrize("listener", ["ONEWAY", "MUTUAL"])
def test_certificates_let_in(locked: Secured, listener: str) -> None:
    connect(locked.kafka(listener))


NO_PASSWORD = {"username": None, "password_file": None, "sasl_mechanism": None}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "wrong host name": ("OTHERNAME", {}, "write kafka.bootstrap as the certificate names it"),
    "an address, not a name": ("ONEWAY", {"bootstrap": "127.0.0.1:{ONEWAY}"}, "as the certificate names it"),
    "expired": ("EXPIRED", {}, "its certificate has expired"),
    "unknown authority": ("ONEWAY", {"ca_file": "{other_ca}"}, "name that one's in kafka.ca_file"),
    "the system's authorities": ("ONEWAY", {"ca_file": None}, "name that one's in kafka.ca_file"),
    "no client certificate": ("MUTUAL", {"cert_file": None}, "kafka.cert_file"),
    "wrong password, PLAIN": ("SASL", {"password_file": "{wrong}", "sasl_mechanism": "PLAIN"}, "check kafka.username"),
    "wrong password, SCRAM": ("SASL", {"password_file": "{wrong}"}, "check kafka.username"),
    "wrong user": ("SASL", {"username": "nobody"}, "check kafka.username"),
    "no TLS": ("ONEWAY", {"security": None, "ca_file": None}, "it may want TLS"),
    "no password": ("SASL", {"security": "SSL", **NO_PASSWORD}, "it may want a password"),
    "a password without TLS": ("SASL", {"security": "SASL_PLAINTEXT", "ca_file": None}, "it may want TLS"),
    "a password where none is asked": (
        "ONEWAY", {"security": "SASL_SSL", "username": "me", "password_file": "{password}"}, "no password on this port",
    ),
    "TLS where there is none": ("ONEWAY", {"bootstrap": "{plain}"}, "does not speak TLS on this port"),
}  # fmt: skip


def refused_settings(locked: Secured, case: str, folder: Path) -> dict[str, Any]:
    listener, changes, _ = REFUSED[case]
    wrong = folder / "wrong"
    wrong.write_text("not-" + PASSWORD)
    places = {
        "wrong": wrong, "other_ca": locked.other_ca, "password": locked.password, "plain": locked.broker.bootstrap,
        **locked.ports,
    }  # fmt: skip
    filled = {k: v.format(**places) if isinstance(v, str) else v for k, v in changes.items()}
    return locked.kafka(listener, **filled)


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_not_let_in_is_told_why(locked: Secured, case: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="refuses: ") as error:
        connect(refused_settings(locked, case, tmp_path))
    text = str(error.value)
    assert REFUSED[case][2] in text
    assert PASSWORD not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("case", "command"),
    [
        ("wrong host name", ("worker", "--no-http")),
        ("wrong password, SCRAM", ("worker", "--no-http")),
        ("no client certificate", ("worker", "--no-http")),
        ("wrong host name", ("topics", "list")),
        ("wrong password, SCRAM", ("verify", "demo")),
    ],
)
def test_commands_end_with_one_line_and_exit_code_2(
    locked: Secured, case: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "alphawire.yaml"
    kafka = refused_settings(locked, case, tmp_path)
    file.write_text(yaml.safe_dump({"kafka": kafka, "strategies": {"demo": strategy()}}))
    ended = alphawire(file, *command)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("alphawire: the broker at localhost:")
    assert REFUSED[case][2] in ended.stderr


def alphawire(file: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run(*words, "-c", file, environment=environment)


# --- all of it, over TLS ---------------------------------------------------------------------------------------------

BARS = 600


@dataclass
class Secret:
    """A whole run with the password in the environment, and everything that was said meanwhile."""

    config: Config
    signals: int
    said: dict[str, str]


def write(file: Path, kafka: dict[str, Any], port: int) -> Config:
    worker = {"commit_interval": 0.05, "snapshot_interval": 0.3, "http_port": port}
    kafka |= {"prefix": f"{file.stem}.", "group": file.stem, "session_timeout": 2.0, "partitions": 2}
    file.write_text(yaml.safe_dump({"kafka": kafka, "worker": worker, "strategies": {"demo": strategy()}}))
    return load_config(file)


def whole(locked: Secured, file: Path, kafka: dict[str, Any], **environment: str) -> Secret:
    """Topics, bars, a worker at its most talkative, verify, replay: each a process of its own."""
    port = free_port()
    config = write(file, kafka, port)
    bars = file.with_suffix(".parquet")
    minute_bars(BARS).drop(columns="close_time").to_parquet(bars)
    said: dict[str, str] = {}

    def command(*words: str) -> None:
        done = alphawire(file, *words, **environment)
        said[" ".join(words[:2])] = done.stdout + done.stderr
        assert done.returncode == 0, done.stderr

    command("topics", "create", "--json")
    command("topics", "list", "--json")
    command("produce", "bars", str(bars), "--interval", "1m")
    signals = SignalCount(plain(config, locked))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with WorkerProcess(file, "--log-level", "debug") as worker:
            wait_for(worker.ready)
            wait_for(lambda: worker.process.poll() is not None or signals() >= BARS)
            for page in ("status", "plugins"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=deadline(10)) as answer:
                    said[page] = answer.read().decode()
            assert worker.stop() == 0
    said["log"] = file.with_suffix(".log").read_text()
    command("verify", "demo", "--json")
    command("replay", "demo", "--source", "kafka", "--out", str(file.with_suffix(".jsonl")))
    command("dead-letters", "list", "--json")
    said["replayed"] = file.with_suffix(".jsonl").read_text()
    return Secret(plain(config, locked), signals(), said)


def plain(config: Config, locked: Secured) -> Config:
    """The same topics, through the door that the test has."""
    keep = {"prefix": config.kafka.prefix, "group": config.kafka.group, "partitions": config.kafka.partitions}
    return config.model_copy(update={"kafka": Kafka(bootstrap=locked.broker.bootstrap, **keep)})


@pytest.fixture(scope="module")
def talkative(locked: Secured, tmp_path_factory: pytest.TempPathFactory) -> Secret:
    """With PLAIN, which sends the password itself, though within TLS."""
    kafka = locked.kafka("SASL", sasl_mechanism="PLAIN", password_file=None)
    file = tmp_path_factory.mktemp("talkative") / "talkative.yaml"
    return whole(locked, file, kafka, ALPHAWIRE_KAFKA__PASSWORD=PASSWORD)


def test_a_worker_publishes_exactly_once_through_sasl_ssl(talkative: Secret) -> None:
    assert talkative.signals == BARS
    assert "delivery: exactly once" in talkative.said["log"]
    assert '"ok": true' in talkative.said["verify demo"]


def everything(secret: Secret) -> Iterator[tuple[str, bytes]]:
    """All that was logged, answered and written."""
    yield from ((name, text.encode()) for name, text in secret.said.items())

    async def read() -> list[tuple[str, bytes]]:
        found = []
        for name, spec in TOPICS.items():
            for partition in range(secret.config.kafka.partitions if spec.equal else 1):
                topic = topic_name(secret.config.kafka, name)
                async for record in read_partition_to_end(secret.config.kafka, topic, partition):
                    headers = b"".join(value or b"" for _, value in record.headers)
                    found.append((topic, (record.key or b"") + (record.value or b"") + headers))
        return found

    yield from asyncio.run(read())


def test_the_password_is_nowhere(talkative: Secret) -> None:
    """Not as it is, nor as SASL PLAIN sends it, nor in Base64."""
    forms = {PASSWORD.encode(), base64.b64encode(PASSWORD.encode()), PASSWORD.encode().hex().encode()}
    pieces = list(everything(talkative))
    assert {"log", "status", "plugins", "verify demo"} <= {name for name, _ in pieces}
    assert sum(name == topic_name(talkative.config.kafka, "signals") for name, _ in pieces) == BARS
    for name, content in pieces:
        for form in forms:
            assert form not in content, name


def test_the_log_at_debug_is_talkative(talkative: Secret) -> None:
    """Else the test above would prove nothing about what the libraries say."""
    assert "DEBUG aiokafka" in talkative.said["log"]
    assert "SaslAuthenticate" in talkative.said["log"]


@pytest.mark.parametrize("listener", ["MUTUAL", pytest.param("SASL", marks=pytest.mark.slow)])
def test_a_worker_behind_a_listener_that_speaks_tls_alone(locked: Secured, listener: str, tmp_path: Path) -> None:
    """Faust's own consumer, too: it takes a SASL listener for one without TLS unless it is given the context."""
    found = whole(locked, tmp_path / f"tls{listener.lower()}.yaml", locked.kafka(listener))
    assert PROTOCOLS[listener].endswith("SSL")
    assert found.signals == BARS
