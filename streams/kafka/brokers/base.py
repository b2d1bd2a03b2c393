"""What the brokers that alphawire starts have in common."""

import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from schemas.errors import BrokerError
from streams.kafka.brokers.probe import answers, free_port, port_is_free
from streams.kafka.brokers.process import GuardedProcess, tail

HOST = "127.0.0.1"
POLL = 0.02


class Broker(ABC):
    """A broker process on loopback that ends with this process; a context manager that starts and stops it.

    Parameters
    ----------
    port
        Port to listen on; 0 picks a free one at the first start, and keeps it.
    data_dir
        Where its data and its log live; None: a temporary folder, removed at `stop`.

    Raises
    ------
    BrokerError
        From `start`, when it does not come up; the text says the mend.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    start_timeout: ClassVar[float] = 30.0
    stop_timeout: ClassVar[float] = 15.0

    def __init__(self, port: int = 0, data_dir: Path | None = None) -> None:
        self.port = port
        self._keep = data_dir is not None
        self._dir = data_dir.resolve() if data_dir else None
        self._process: GuardedProcess | None = None
        self._log_start = 0

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; known once it was started."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the running broker."""
        return self._process.pid if self._process and self._process.running else None

    @property
    def log(self) -> Path:
        return self._folder / f"{self.kind}.log"

    @property
    def said(self) -> str:
        """The last line that it logged since its start and that tells of an error, or just the last."""
        return tail(self.log, self._log_start)

    @property
    def _folder(self) -> Path:
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix=f"alphawire-{self.kind}-"))
        self._dir.mkdir(parents=True, exist_ok=True)
        return self._dir

    @abstractmethod
    def _command(self) -> list[str]:
        """What to run; prepares what that needs."""

    def start(self) -> Self:
        """Start it, and return when it answers."""
        if self.pid is not None:
            return self
        chosen = bool(self.port)
        while True:
            try:
                self._start()
                return self
            except BrokerError:
                self._discard()
                if chosen or not self.port or port_is_free(self.port, HOST):
                    raise
                self.port = 0  # someone took the port that was free a moment ago
            except BaseException:
                self.stop()
                raise

    def _start(self) -> None:
        self.port = self.port or free_port(HOST)
        if not port_is_free(self.port, HOST):
            raise BrokerError(f"port {self.port} is in use; choose another with --port, or stop what listens there")
        command = self._command()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = process = GuardedProcess(command, self.log, None if self._keep else self._folder)
        deadline = time.monotonic() + self.start_timeout
        while not answers(self.port, HOST):
            if not process.running:
                raise BrokerError(f"the {self.kind} broker ended at start: {self.said}")
            if time.monotonic() > deadline:
                raise BrokerError(f"the {self.kind} broker does not answer on {self.bootstrap}: {self.said}")
            time.sleep(POLL)

    def wait(self) -> None:
        """Return when it has ended, by itself or by a signal from elsewhere."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End it in good order, and remove its temporary data; no harm when it is not running."""
        if self._process is not None:
            self._process.stop(self.stop_timeout)
        self._discard()

    def kill(self) -> None:
        """SIGKILL. Its data stays: `start` starts it again on the same port."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _discard(self) -> None:
        self.kill()
        if not self._keep and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
