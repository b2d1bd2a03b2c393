"""Another kind of processor, on which NumPy and its BLAS take other instructions and may come to other last bits."""

import hashlib
import time
from collections.abc import Callable, Iterator

from plugins.checks.bars import spread, walk
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.outcome import Failed
from plugins.checks.repetition import digest

MANY = 200_000
"""Bars: `np.log` of widely spread values differs for some 12 of 100,000."""
LONGEST = 20_000
BUDGET = 1.0
"""Seconds of the processor for all of them."""


def processors(subject: FeatureSubject) -> str:
    """Computed over many bars of usual and of widely spread prices, and once more in a process that does without what
    NumPy and its BLAS use of this processor: the bytes were compared.
    """
    hashed, total = hashlib.sha256(), 0
    for number, size in enumerate(_sizes(subject)):
        bars = walk(size, number) if number % 2 == 0 else spread(size, number)
        try:
            told = digest(subject.compute(bars))
        except Failed as failed:  # such prices may be refused; other checks know what may not
            told = failed.saw
        hashed.update(told.encode())
        total += size
    return f"{total:,} bars: SHA-256 {hashed.hexdigest()[:16]}"


def _sizes(subject: FeatureSubject, clock: Callable[[], float] = time.process_time) -> Iterator[int]:
    """Lengths of frames, each twice that before, up to `MANY` bars together or as long as there is time; the number of
    frames is then in `subject.frames`, and if it is there before, decides in place of the time.
    """
    size, total, count, begin = subject.memory + 100, 0, 0, clock()
    while (count < subject.frames) if subject.frames else (total < MANY):
        before = clock()
        yield size
        now, total, count = clock(), total + size, count + 1
        if not subject.frames and now - begin + 2 * (now - before) > BUDGET:
            break
        size = max(size, min(2 * size, LONGEST))
    subject.frames = count
