"""Where the time of a bar goes in a worker: ``alphawire worker --trace``.

A stage is noted with the offset up to which a partition has come to it; once a partition is committed, each of its bars
has a time at each stage. Clocks are only read here, and what they say is only shown. Without ``--trace`` a note is one
look at a variable that is None.

>>> ticks = iter([0.0, 1.0, 3.0, 3.5])
>>> trace = Trace(clock=lambda: next(ticks))
>>> trace.fetched("bars/0", 0, 10)
>>> for stage, end in [("fed", 4), ("fed", 10), ("committed", 10)]:
...     trace.note(stage, "bars/0", end)
>>> [(run.start, run.end, run.times) for run in trace.runs]
[(0, 4, {'fetched': 0.0, 'fed': 1.0, 'committed': 3.5}), (4, 10, {'fetched': 0.0, 'fed': 3.0, 'committed': 3.5})]
>>> print(trace.table())
10 bars, ms from the stage before       p50      p90      p99      max
fed                                  2953.7   2953.7   2953.7   3000.0
committed                             500.0   2483.7   2483.7   2500.0
fetched to committed                 3500.0   3500.0   3500.0   3500.0
"""

import contextlib
import json
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from streams.process.durations import Histogram

log = logging.getLogger("alphawire.trace")

STAGES = (
    "fetched",
    "handed on",
    "fed",
    "decided",
    "taken",
    "sent",
    "acknowledged",
    "committed",
)
"""In the order in which a bar comes to them: the client has it, in the fetching thread; it is on the event loop; the
agent of Faust has it; its output waits; the write before is done, and this one begins; it is packed, and the client has
it; the broker has it; it is readable.
"""
FIRST, LAST = STAGES[0], STAGES[-1]
SHOWN_EVERY = 60.0
MOST_STEPS = 10_000
"""That are remembered of a stage of a partition, while nothing is committed."""

Step = tuple[int, float]


@dataclass(frozen=True)
class Run:
    """Bars that went the whole way together: offsets from `start` up to, not including, `end`; by stage the time."""

    place: str
    start: int
    end: int
    times: dict[str, float]


class Trace:
    """What was noted, by partition (``bars/3``). `out` gets a line of JSON for each run of bars."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, out: TextIO | None = None) -> None:
        self._clock, self._out = clock, out
        self._fetched: dict[str, deque[tuple[int, int, float]]] = defaultdict(lambda: deque(maxlen=MOST_STEPS))
        self._steps: dict[tuple[str, str], deque[Step]] = defaultdict(lambda: deque(maxlen=MOST_STEPS))
        self._lock = threading.Lock()
        self._spent = {stage: Histogram() for stage in STAGES[1:]}
        self._whole = Histogram()
        self.runs: deque[Run] = deque(maxlen=MOST_STEPS)

    def fetched(self, place: str, start: int, end: int) -> None:
        """In the fetching thread: records of these offsets. What is fetched once more begins anew."""
        with self._lock:
            fetches = self._fetched[place]
            if fetches and start < fetches[-1][1]:
                self._forget(place)
            fetches.append((start, end, self._clock()))

    def note(self, stage: str, place: str, end: int) -> None:
        """The partition has come to the stage up to, not including, offset `end`."""
        now = self._clock()
        with self._lock:
            self._steps[place, stage].append((end, now))
            if stage == LAST:
                for run in list(self._complete(place, end)):
                    self._take_in(run)

    def _forget(self, place: str) -> None:
        for key in [key for key in self._steps if key[0] == place]:
            del self._steps[key]
        self._fetched[place].clear()

    def _complete(self, place: str, reached: int) -> Iterator[Run]:
        """The runs up to offset `reached`, which are forgotten then."""
        own = {stage: steps for stage in STAGES[1:] if (steps := self._steps.get((place, stage)))}
        ends = {end for steps in own.values() for end, _ in steps if end <= reached}
        fetches = self._fetched[place]
        while fetches and fetches[0][0] < reached:
            start, end, at = fetches.popleft()
            inside = sorted({stop for stop in ends if start < stop < end} | {min(end, reached)})
            for stop in inside:
                found = {stage: next((t for e, t in steps if e >= stop), None) for stage, steps in own.items()}
                yield Run(place, start, stop, {FIRST: at} | {s: t for s, t in found.items() if t is not None})
                start = stop
            if start < end:
                fetches.appendleft((start, end, at))
                break
        for steps in own.values():
            while steps and steps[0][0] <= reached:
                steps.popleft()

    def _take_in(self, run: Run) -> None:
        count, before = run.end - run.start, run.times[FIRST]
        for stage, at in list(run.times.items())[1:]:
            self._spent[stage].add(max(at - before, 0.0), count)
            before = max(at, before)
        self._whole.add(before - run.times[FIRST], count)
        self.runs.append(run)
        if self._out is not None:
            line = {"place": run.place, "start": run.start, "end": run.end, "times": run.times}
            self._out.write(json.dumps(line) + "\n")

    def table(self) -> str:
        """What the bars spent before each stage, and in all."""
        with self._lock:
            rows = [(stage, spent) for stage, spent in self._spent.items() if spent.count]
            rows.append((f"{FIRST} to {LAST}", self._whole))
            title = f"{self._whole.count} bars, ms from the stage before"
            lines = [f"{title:<34}" + "".join(f"{name:>9}" for name in ("p50", "p90", "p99", "max"))]
            for name, spent in rows:
                shown = [*(spent.quantile(share) for share in (0.5, 0.9, 0.99)), spent.longest]
                lines.append(f"{name:<34}" + "".join(f"{1000 * value:9.1f}" for value in shown))
        return "\n".join(lines)


_trace: Trace | None = None
_written: ContextVar[tuple[str, int] | None] = ContextVar("written", default=None)
"""Of the task that writes: its partition, and up to which offset."""


@contextlib.contextmanager
def tracing(out: Path | None, every: float = SHOWN_EVERY) -> Iterator[None]:
    """Notes what happens meanwhile, and logs the table every so many seconds and at the end. The file `out` gets a JSON
    object for each run of bars: its partition, offsets, and the time (s, of the machine's monotonic clock) at each
    stage.
    """
    global _trace
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        trace = _trace = Trace(out=stack.enter_context(out.open("w")) if out else None)

        def show() -> None:
            while not over.wait(every):
                log.info("%s", trace.table())

        showing = threading.Thread(target=show, name="trace", daemon=True)
        showing.start()
        try:
            yield
        finally:
            _trace = None
            over.set()
            showing.join()
            log.info("%s", trace.table())


def note_fetched(place: str, start: int, end: int) -> None:
    if _trace is not None:
        _trace.fetched(place, start, end)


def note(stage: str, place: str, end: int) -> None:
    if _trace is not None:
        _trace.note(stage, place, end)


def note_written(place: str, end: int) -> None:
    """What this task writes from now on is the partition's output up to this offset."""
    if _trace is not None:
        _written.set((place, end))
        _trace.note("taken", place, end)


def note_write(stage: str) -> None:
    """What this task writes has come to the stage."""
    if _trace is not None and (written := _written.get()):
        _trace.note(stage, *written)
