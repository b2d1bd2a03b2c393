"""A worker under a supervisor: started again when it ends, after the others have given it up."""

import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.mutations import AWAITS
from tests.support.deadlines import deadline
from tests.support.forked import Forked

AWAY_AT_START = "2, the broker is away at start"
SIGNALS_REFUSED = "2, the broker refuses signals"
REFUSED = "max.message.bytes"
AWAY = ("alphawire: no Kafka broker answers", "alphawire: the broker at")
OWNS = b" restored in "
ARMED_SECONDS = 8.0
"""For so long after its first partitions a life with an armed failpoint is left to it."""
HAPPENED = re.compile(rb"^failpoint (\w+): (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Size:
    """What a process takes."""

    resident_mb: float
    threads: int
    descriptors: int


class Supervised:
    """One of the workers; `arm` gives the failpoints of its next life.

    A life begins `patience` seconds after the last one ended: earlier, all others would wait for the dead member.
    """

    def __init__(
        self,
        number: int,
        config: Path,
        bootstrap: str,
        patience: float,
        mutation: str = "unchanged",
        options: tuple[str, ...] = (),
    ) -> None:
        self.number = number
        self.patience = patience
        self.log = config.with_name(f"{config.stem}-{number}.log")
        self.ends: Counter[int | str] = Counter()
        self.happened: Counter[str] = Counter()
        self.sizes: list[Size] = []
        self.next_arms = ""
        self.armed_until = 0.0
        self.ready = False
        self.ended = False
        self.awaits = 0
        self.stopped_for: float | None = None
        """How long a failpoint's stop lasts at most, if not twice the patience: `wake` may end it before."""
        self.process: Forked | None = None
        self._words = ("worker", "-c", str(config), *options)
        self._environment = {"ALPHAWIRE_KAFKA__BOOTSTRAP": bootstrap}
        self._mutation = mutation
        self._armed = False
        self._again_at = 0.0
        self._go_on_at: float | None = None
        self._read = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        environment = self._environment | {"ALPHAWIRE_FAILPOINTS": self.next_arms}
        self.next_arms, self.ready, self._armed = "", False, bool(self.next_arms)
        self.process = Forked(*self._words, log=self.log, environment=environment, mutation=self._mutation)

    def send(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)
            self.ready = self.ready and number != signal.SIGTERM

    def tend(self) -> None:
        """Notes what happened, starts a new life when it is time, wakes what a failpoint has stopped."""
        now = time.monotonic()
        self._listen()
        if self.process is not None and (code := self.process.poll()) is not None:
            self.ends[self._cause(code)] += 1
            self.process, self._go_on_at, self.ended = None, None, True
            self._again_at = now + self.patience
        elif self.process is None:
            if now >= self._again_at:
                self.start()
        elif self._go_on_at is not None and now >= self._go_on_at:
            self._go_on_at = None
            self.send(signal.SIGCONT)

    @property
    def stopped(self) -> bool:
        """By a failpoint."""
        return self._go_on_at is not None

    def wake(self) -> None:
        self._go_on_at = time.monotonic()

    def measure(self) -> None:
        if self.running:
            self.sizes.append(size(self.pid))

    def _listen(self) -> None:
        if not self.log.exists():
            return
        with self.log.open("rb") as log:
            log.seek(self._read)
            said = log.read()
        self._read += len(said)
        self.awaits += said.count(AWAITS)
        if not self.ready and OWNS in said:
            left_alone = deadline(ARMED_SECONDS, spare=1.0) if self._armed else 0.0
            self.ready, self.armed_until = True, time.monotonic() + left_alone
        for name, action in HAPPENED.findall(said):
            self.happened[f"{name.decode()}:{action.decode()}"] += 1
            self.armed_until = 0.0
            if action == b"stop":
                self._go_on_at = time.monotonic() + (self.stopped_for or 2 * self.patience)

    def _cause(self, code: int) -> int | str:
        """A worker that finds no broker at start, or whose signals a setting of their topic refuses, says so in one
        line.
        """
        last = self.log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        if code == 2 and last.startswith(AWAY):
            return AWAY_AT_START
        return SIGNALS_REFUSED if code == 2 and REFUSED in last and "signals" in last else code

    def stop(self) -> None:
        """SIGTERM, and the exit code is noted; one that is still starting is just killed."""
        self._listen()
        if self.process is None or not self.ready:
            self.kill()
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.ends[self.process.wait(deadline(30))] += 1
        finally:
            self.kill()
            self._listen()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def size(pid: int) -> Size:
    """Of a process, by /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        resident, threads = (re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE) for name in ("VmRSS", "Threads"))
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return Size(0, 0, 0)
    return Size(int(resident[1]) / 1024 if resident else 0, int(threads[1]) if threads else 0, descriptors)
