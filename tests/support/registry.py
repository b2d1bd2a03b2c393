"""A schema registry as tests see it: Apicurio's, with Confluent's API, a real process from Maven Central."""

import fcntl
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from schemas.atomic import move_into_place
from streams.kafka.brokers.process import GuardedProcess
from tests.support.deadlines import limit
from tests.support.live import wait_for

VERSION = "2.6.13.Final"  # 3.x needs Java 21
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


def registry_folder() -> Path:
    """Where the registry's jars are, fetched when they are not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alphawire" / "registry"
    folder = cache / VERSION
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                command = ["mvn", "-q", "-B", COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={scratch}"]
                subprocess.run(command, cwd=scratch, check=True, timeout=limit(300.0), capture_output=True)
                with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as packed:
                    packed.extractall(Path(scratch, "app"), filter="data")
                move_into_place(Path(scratch, "app"), folder)
    return folder


class RegistryProcess:
    """One on a free port; its schemas are in memory."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self._scratch = Path(tempfile.mkdtemp(prefix="alphawire-registry-"))
        jar = next(registry_folder().glob("*-runner.jar"))
        settings = [f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1"]
        command = [shutil.which("java") or "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *settings, "-jar", str(jar)]
        self._process = GuardedProcess(command, self._scratch / "log", self._scratch)
        wait_for(self.answers, 90.0)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=limit(5.0)) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def stop(self) -> None:
        self._process.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)
