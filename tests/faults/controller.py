"""A run with faults: a cluster, supervised workers, bars at a steady rate, faults at random and at named points."""

import asyncio
import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.configuration import Config
from streams.kafka.clients import open_admin
from streams.kafka.topics import TOPICS, topic_name
from tests.faults.bars import BarProducer
from tests.faults.cluster import Cluster
from tests.faults.kinds import DECK, POINTS, Fault, arms
from tests.faults.supervised import Supervised
from tests.faults.watch import Watch
from tests.support.deadlines import Deadline, deadline

TICK = 0.05
TAKE_OVER = 30.0
"""Seconds within which a worker that stands still is replaced."""
LAG, BROKER_LAG = 30.0, 60.0
"""Seconds after the last fault, and after the broker's last return, within which nothing may be behind any more."""
ACTIONS = ("kill", "kill", "kill", "kill", "stop", "delay")


@dataclass
class Settings:
    """How hard a run is: it ends after `faults` of them, at `least_points` named points at least, or after `minutes`,
    whichever comes first.
    """

    faults: int
    minutes: float
    seed: int = 1
    rate: float = 120.0
    pause: tuple[float, float] = (0.3, 2.0)
    mutation: str = "unchanged"
    deck: dict[Fault, int] = field(default_factory=lambda: dict(DECK))
    armed: float = 0.8
    """Share of the workers' lives that have a failpoint."""
    least_points: int = 0
    tail: float = 5.0
    """Seconds for which bars go on after the last fault: what came back from it has something to do."""
    passes: tuple[int, int] = (1, 6)
    """How often a failpoint is passed, at least and at most, until it happens."""
    armable: int = 99
    """Only so many of the workers are ever armed."""
    points: tuple[str, ...] = tuple(POINTS)
    actions: tuple[str, ...] = ACTIONS
    until_awaited: bool = False
    """What a failpoint has stopped wakes when its mutated successor says that it waits for it."""
    sessions: tuple[float, float] = (1.5, 3.0)
    """For how many session timeouts a worker stands still, at least and at most."""
    patience: float = 2 * BROKER_LAG
    """Seconds after the last fault in which all that is behind may catch up; then it is looked at as it is."""


class Run:
    """What the faults act upon; `play` is the whole of it."""

    def __init__(self, cluster: Cluster, config_file: Path, config: Config, settings: Settings) -> None:
        self.cluster, self.config, self.settings = cluster, config, settings
        self.rng = random.Random(settings.seed)
        patience = config.kafka.session_timeout + 0.3
        self.workers = [
            Supervised(number, config_file, f"127.0.0.1:{proxy.port}", patience, settings.mutation)
            for number, proxy in enumerate(cluster.proxies)
        ]
        self.producer = BarProducer(config, settings.rate, settings.seed)
        self.watch = Watch(config)
        self.injected: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.broker_busy = False
        self.lag_seconds = 0.0
        self.lag_bound = LAG
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._victims: set[int] = set()
        self._deck: list[Fault] = []
        self._points: list[tuple[str, str]] = []
        self._before: dict[int, int] = {}
        self._broker_back = -1e9
        self._measured = 0.0

    @property
    def happened(self) -> Counter[str]:
        """Faults at named points, ``point:action``."""
        return sum((worker.happened for worker in self.workers), Counter())

    @property
    def points(self) -> set[str]:
        """Named points at which something happened."""
        return {name.partition(":")[0] for name in self.happened}

    @property
    def enough(self) -> bool:
        return self.faults >= self.settings.faults and len(self.points) >= self.settings.least_points

    @property
    def faults(self) -> int:
        return self.injected.total() + self.happened.total()

    @property
    def ends(self) -> Counter[int | str]:
        """How the workers' lives ended, by exit code; below 0: the signal."""
        return sum((worker.ends for worker in self.workers), Counter())

    def play(self) -> None:
        """All of it: start, faults, and on until the last bar is dealt with."""
        self.producer.start()
        self.watch.start()
        for worker in self.workers:
            self._prepare(worker)
            worker.start()
        try:
            self._disturb()
            self._calm_down()
        finally:
            self._end()

    def victim(self) -> Supervised | None:
        """A worker at work that nothing is done to at the moment, nor will be at a named point."""
        now = time.monotonic()
        chosen = [
            w for w in self.workers if w.running and w.ready and w.armed_until < now and w.number not in self._victims
        ]
        return self.rng.choice(chosen) if chosen else None

    def beyond_session(self) -> float:
        """Seconds: long enough for the others to take over."""
        return self.config.kafka.session_timeout * self.rng.uniform(*self.settings.sessions)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def busy(self, worker: Supervised, seconds: float, mend: Callable[[], object]) -> None:
        """`worker` is left alone until `mend` is done in `seconds`."""
        self._victims.add(worker.number)

        def over() -> None:
            mend()
            self._victims.discard(worker.number)

        self.later(seconds, over)

    def broker_down(self, seconds: float, mend: Callable[[], object]) -> None:
        self.broker_busy = True

        def over() -> None:
            mend()
            self.broker_busy = False
            self._broker_back = time.monotonic()

        self.later(seconds, over)

    def refuse_signals(self, refused: bool) -> None:
        """By a bound on a record's size that no signal meets."""
        limit = "10" if refused else "1048576"
        settings = TOPICS["signals"].settings | {"max.message.bytes": limit}
        topic = ConfigResource(ConfigResourceType.TOPIC, topic_name(self.config.kafka, "signals"), settings)

        async def run() -> None:
            async with open_admin(self.config.kafka) as admin:
                await admin.alter_configs([topic])

        asyncio.run(run())

    def note(self, text: str) -> None:
        self.notes[text] += 1

    def next_point(self) -> tuple[str, str]:
        if not self._points:
            self._points = [(point, self.rng.choice(self.settings.actions)) for point in self.settings.points]
            self.rng.shuffle(self._points)
        return self._points.pop()

    def _prepare(self, worker: Supervised) -> None:
        if self.settings.points and worker.number < self.settings.armable and self.rng.random() < self.settings.armed:
            worker.next_arms = arms(self)

    def _disturb(self) -> None:
        self._settle()
        end = time.monotonic() + 60 * self.settings.minutes
        following = time.monotonic() + self.rng.uniform(*self.settings.pause)
        while not self.enough and time.monotonic() < end:
            self._tick()
            for worker in self.workers:
                if worker.ended:
                    worker.ended = False
                    self._prepare(worker)
            if time.monotonic() >= following and self.settings.deck:
                self._inject()
                following = time.monotonic() + self.rng.uniform(*self.settings.pause)

    def _settle(self) -> None:
        """Until all workers have taken part in a rebalance, as far as none has met its failpoint before."""
        end = Deadline(LAG)
        while not end.passed and not (all(w.ready for w in self.workers) or self.faults):
            self._tick()

    def _inject(self) -> None:
        if not self._deck:
            self._deck = [kind for kind, number in self.settings.deck.items() for _ in range(number)]
            self.rng.shuffle(self._deck)
        kind = self._deck.pop()
        if kind(self):
            self.injected[kind.__name__] += 1

    def _calm_down(self) -> None:
        """No faults any more; returns when nothing is behind, or when that takes too long."""
        for worker in self.workers:
            worker.next_arms = ""
        while self._due:
            self._tick()
        known, over = self.faults, time.monotonic()
        while time.monotonic() - over < self.settings.tail:
            self._tick()
        self.producer.stop()
        ends = self.watch.ends()
        while not self.watch.reached(ends) and time.monotonic() - over < deadline(self.settings.patience, spare=1.0):
            self._tick()
            if self.faults > known:  # a life that was still armed
                known, over = self.faults, time.monotonic()
        self.lag_seconds = time.monotonic() - over
        self.lag_bound = deadline(BROKER_LAG if over - self._broker_back < BROKER_LAG else LAG, spare=1.0)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        for worker in self.workers:
            worker.tend()
        if self.settings.until_awaited:
            self._wake_the_awaited()
        if now - self._measured > 1.0:
            self._measured = now
            for worker in self.workers:
                worker.measure()
        time.sleep(TICK)

    def _wake_the_awaited(self) -> None:
        for worker in self.workers:
            others = sum(other.awaits for other in self.workers if other is not worker)
            if not worker.stopped:
                self._before[worker.number], worker.stopped_for = others, TAKE_OVER
            elif others > self._before[worker.number]:
                worker.wake()

    def _end(self) -> None:
        for proxy in self.cluster.proxies:
            proxy.release()
        self.producer.stop()
        for worker in self.workers:
            worker.stop()
        self.watch.stop()
