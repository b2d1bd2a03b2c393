"""Brokers start, answer, and are gone with whoever started them."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker, start_broker
from streams.kafka.brokers.jars import kafka_jars
from streams.kafka.brokers.probe import answers, port_is_free
from streams.kafka.brokers.process import GuardedProcess
from streams.kafka.clients import open_producer, read_partition_to_end
from streams.kafka.topics import create_topics, topic_name
from tests.support.deadlines import deadline

MakeConfig = Callable[..., Kafka]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Watched:
    """Processes that are not our children; `gone` waits for their end."""

    def __init__(self, *pids: int) -> None:
        self.files = [os.pidfd_open(pid) for pid in pids]

    def gone(self, seconds: float = 20.0) -> bool:
        done = [bool(select.select([file], [], [], seconds)[0]) for file in self.files]
        for file in self.files:
            os.close(file)
        return all(done)


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python program in a session of its own; ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def test_it_answers_and_leaves_nothing() -> None:
    with TansuBroker() as broker:
        assert broker.pid is not None
        watched = Watched(broker.pid, parent_of(broker.pid))
        folder = broker.log.parent
        assert answers(broker.port)
        assert folder.is_dir()
        assert broker.start() is broker  # a second start changes nothing
    assert watched.gone()
    assert broker.pid is None
    assert port_is_free(broker.port)
    assert not folder.exists()
    broker.stop()  # nor does a second stop


def test_it_is_out_of_reach_of_a_terminals_interrupt(tansu: TansuBroker) -> None:
    assert tansu.pid is not None
    assert os.getpgid(tansu.pid) != os.getpgid(0)


def test_it_comes_back_on_its_port_after_a_kill() -> None:
    with TansuBroker() as broker:
        port, killed = broker.port, broker.pid
        broker.kill()
        assert broker.pid is None
        assert not answers(port)
        broker.start()
        assert broker.port == port
        assert broker.pid != killed
        assert answers(port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_dies_with_its_parent(program: Callable[..., subprocess.Popen[str]], number: signal.Signals) -> None:
    code = (
        "import json, signal; from streams.kafka.brokers import TansuBroker;"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL);"  # nohup and some supervisors leave it ignored
        "b = TansuBroker().start(); print(json.dumps([b.pid, b.port, str(b.log.parent)]), flush=True); signal.pause()"
    )
    parent = program("-c", code)
    pid, port, folder = first_line(parent)
    watched = Watched(pid, parent_of(pid))
    parent.send_signal(number)
    assert watched.gone()
    assert port_is_free(port)
    assert not Path(folder).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_leaves_nothing(program: Callable[..., subprocess.Popen[str]], number: signal.Signals) -> None:
    command = program("-m", "alphawire", "broker", "--port", "0", "--json")
    ready = first_line(command)
    assert answers(int(ready["bootstrap"].rpartition(":")[2]))
    watched = Watched(ready["pid"], parent_of(ready["pid"]))
    command.send_signal(number)
    assert watched.gone()
    assert command.wait(deadline(20)) == (-number if number is signal.SIGKILL else 0)
    assert not Path(ready["log"]).exists()


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} is in use; choose another with --port"):
            TansuBroker(port).start()


def test_a_listener_that_is_no_broker_does_not_answer() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert not answers(mute.getsockname()[1], timeout=0.05)


class Shell(Broker):
    """A broker that is none."""

    kind = "shell"
    title = "a shell"
    start_timeout = 1.0
    script = ""

    def _command(self) -> list[str]:
        return ["sh", "-c", self.script]


def test_why_it_did_not_start() -> None:
    class Failing(Shell):
        script = "echo INFO fine; echo ERROR no room on the disk; echo bye; exit 3"

    with pytest.raises(BrokerError, match="ended at start: ERROR no room on the disk"):
        Failing().start()


def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    class Mute(Shell):
        script = "echo $$ > pid; exec sleep 60"

        def _command(self) -> list[str]:
            return ["sh", "-c", f"cd {tmp_path}; {self.script}"]

    with pytest.raises(BrokerError, match="does not answer on"):
        Mute(port=0).start()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_process_deaf_to_sigterm_or_stopped_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    deaf = GuardedProcess(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 60; done"], log)
    stopped = GuardedProcess(["sleep", "60"], log)
    stopped.signal(signal.SIGSTOP)
    watched = Watched(deaf.pid, stopped.pid)
    deaf.stop(0.1)
    stopped.stop(0.1)
    assert watched.gone(1)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"cannot run /nowhere/broker: .*No such file"):
        GuardedProcess(["/nowhere/broker"], tmp_path / "log")


def test_wrong_engines(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no broker engine 'redpanda'; there is: tansu, kafka"):
        start_broker("redpanda")
    with pytest.raises(ConfigurationError, match="keeps its data in memory"):
        start_broker("tansu", data_dir=tmp_path)


# --- Apache Kafka ----------------------------------------------------------------------------------------------------


def test_java_and_maven_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(BrokerError, match="needs java, which is not on the path: install Java 17"):
        ApacheKafkaBroker().start()
    with pytest.raises(BrokerError, match="needs mvn, which is not on the path: install Maven"):
        kafka_jars()


def maven(folder: Path, script: str) -> None:
    """A program that is called as Maven is, and does what `script` says."""
    program = folder / "mvn"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


FETCH = """
echo run >> {log}
for argument; do case $argument in -DoutputDirectory=*) out=${{argument#*=}};; esac; done
mkdir -p "$out" && sleep 0.2 && touch "$out/kafka_2.13-9.jar"
"""


def test_jars_are_fetched_once_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[..., subprocess.Popen[str]]
) -> None:
    maven(tmp_path, FETCH.format(log=tmp_path / "runs"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    askers = [
        program("-c", "from streams.kafka.brokers.jars import kafka_jars; print(kafka_jars('9'))") for _ in range(3)
    ]
    jars = tmp_path / "cache" / "alphawire" / "kafka" / "9"
    assert [asker.communicate(timeout=deadline(30))[0].strip() for asker in askers] == [str(jars)] * 3
    assert [file.name for file in jars.iterdir()] == ["kafka_2.13-9.jar"]
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_download_that_fails_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven(tmp_path, "echo '[INFO] fine'; echo '[ERROR] Could not transfer artifact'; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(BrokerError, match=r"cannot fetch Kafka 9: \[ERROR\] Could not transfer artifact"):
        kafka_jars("9")
    assert [path.name for path in (tmp_path / "cache" / "alphawire" / "kafka").iterdir()] == ["9.lock"]


async def _put(kafka: Kafka, value: bytes) -> None:
    async with open_producer(kafka) as producer:
        await producer.send_and_wait(topic_name(kafka, "signals"), value, partition=0)


async def _values(kafka: Kafka) -> list[bytes | None]:
    return [record.value async for record in read_partition_to_end(kafka, topic_name(kafka, "signals"), 0)]


def test_apache_kafka_goes_on_from_its_data(java: None, tmp_path: Path, kafka_config: MakeConfig) -> None:
    folder = tmp_path / "Börse 東京"
    with ApacheKafkaBroker(data_dir=folder, properties={"message.max.bytes": "2000000"}) as broker:
        kafka = kafka_config(broker)
        asyncio.run(create_topics(kafka))
        asyncio.run(_put(kafka, b"before the kill"))
        port = broker.port
        broker.kill()
        assert not answers(port)
        broker.start()
        assert broker.port == port
        asyncio.run(_put(kafka, b"before the stop"))
    assert port_is_free(port)
    with ApacheKafkaBroker(data_dir=folder) as other:
        kafka = kafka.model_copy(update={"bootstrap": other.bootstrap})
        assert asyncio.run(_values(kafka)) == [b"before the kill", b"before the stop"]


def test_apache_kafka_says_what_is_wrong_with_its_settings(java: None) -> None:
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        ApacheKafkaBroker(port=0, properties={"num.io.threads": "none"}).start()
