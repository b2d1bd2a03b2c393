"""How long things took: histograms, and a stopwatch that fills them. What they say is only shown."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

BUCKETS = 16
"""Of a histogram, in each doubling: a quantile is exact to 5 %."""
SHORTEST = 1e-9


class Histogram:
    """Durations, by bucket.

    >>> histogram = Histogram()
    >>> for milliseconds in range(1, 101):
    ...     histogram.add(milliseconds / 1000, 1)
    >>> [round(1000 * histogram.quantile(share)) for share in (0.5, 0.99, 1.0)]
    [50, 100, 100]
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count, self.longest, self.total = 0, 0.0, 0.0

    def add(self, seconds: float, count: int) -> None:
        self._counts[round(BUCKETS * math.log2(max(seconds, SHORTEST)))] += count
        self.count += count
        self.total += seconds * count
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float:
        """The middle of the bucket that holds it."""
        left = share * self.count
        for bucket, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return min(float(2.0 ** (bucket / BUCKETS)), self.longest)
        return self.longest

    def up_to(self, bounds: Sequence[float]) -> list[int]:
        """How many lasted at most so many seconds, for each of the ascending `bounds`, to the width of a bucket.

        >>> histogram = Histogram()
        >>> histogram.add(0.004, 3)
        >>> histogram.add(0.2, 1)
        >>> histogram.up_to([0.001, 0.01, 1.0])
        [0, 3, 4]
        """
        counts = sorted(self._counts.items())
        return [sum(count for bucket, count in counts if 2.0 ** (bucket / BUCKETS) <= bound) for bound in bounds]


class Stopwatch:
    """Durations by stage, of one bar each: what takes a while for many bars is shared out among them.

    >>> ticks = iter([1.0, 1.5])
    >>> stopwatch = Stopwatch(clock=lambda: next(ticks))
    >>> with stopwatch.lap("model", 5):
    ...     pass
    >>> stopwatch.stages["model"].count, stopwatch.stages["model"].total
    (5, 0.5)
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.stages: defaultdict[str, Histogram] = defaultdict(Histogram)

    def lap(self, stage: str, bars: int) -> "_Lap":
        """What runs inside is the `stage` of so many bars."""
        return _Lap(self._clock, self.stages[stage], bars)


class _Lap(AbstractContextManager[None]):
    __slots__ = ("_bars", "_began", "_clock", "_histogram")

    def __init__(self, clock: Callable[[], float], histogram: Histogram, bars: int) -> None:
        self._clock, self._histogram, self._bars = clock, histogram, bars

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._histogram.add((self._clock() - self._began) / self._bars, self._bars)


@dataclass
class ServiceDurations:
    """What a service measures: from when records were read until what they led to is acknowledged; each write, which is
    a transaction where the broker has them; and the stages of a bar.
    """

    clock: Callable[[], float] = time.monotonic
    """Its own: what is measured must not move the clock by which an owner decides."""
    acknowledged: Histogram = field(default_factory=Histogram)
    writes: Histogram = field(default_factory=Histogram)
    bar: Stopwatch = field(default_factory=Stopwatch)
