"""Apache Kafka's jars from Maven Central, once for each version, in the user's cache."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from schemas.atomic import move_into_place
from schemas.errors import BrokerError

KAFKA_VERSION = "4.2.0"
POM = Path(__file__).with_name("kafka.pom.xml")
DOWNLOAD_TIMEOUT = 600


def java() -> str:
    """The Java program: of ``JAVA_HOME``, else on the path."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return program or _program("java", "install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)")


def kafka_jars(version: str = KAFKA_VERSION) -> Path:
    """Folder with the jars of that version, fetched when it is not there yet; several processes may call it at once.

    Raises
    ------
    BrokerError
        When Maven is missing or the download fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alphawire" / "kafka"
    jars = cache / version
    if jars.is_dir():
        return jars
    maven = _program("mvn", "install Maven (Debian: apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _download(maven, version, cache, jars)
    return jars


def _download(maven: str, version: str, cache: Path, jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix=f"{version}-") as scratch:
        libs = Path(scratch, "libs")
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += [f"-Dkafka.version={version}", f"-DoutputDirectory={libs}"]
        try:
            run = subprocess.run(
                command, cwd=scratch, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise BrokerError(
                f"Maven did not fetch Kafka {version} within {DOWNLOAD_TIMEOUT} s; see whether it can be reached"
            ) from None
        if run.returncode or not any(libs.glob("kafka_*.jar")):
            fault = next(
                (line for line in (run.stdout + run.stderr).splitlines() if "ERROR" in line), "it gave no reason"
            )
            raise BrokerError(f"Maven cannot fetch Kafka {version}: {fault[:300]}")
        move_into_place(libs, jars)


def _program(name: str, mend: str) -> str:
    if (program := shutil.which(name)) is None:
        raise BrokerError(f"Apache Kafka needs {name}, which is not on the path: {mend}, or use --engine tansu")
    return program
