"""The time axis of a chart: bars follow each other without nights and weekends, and gaps in the data are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

REST = pd.Timedelta(days=7)
"""No market that we know rests for longer but for New Year in China: a longer step, if it is unusual, is a gap."""
UNUSUAL = 5.0
"""Times the median step: where bars are rare a long step is none."""
ROOM = 0.04
"""Of the width, for each gap; together at most half of it."""
NAMED = 3
LABELS = 5


@dataclass(frozen=True)
class TimeAxis:
    """Where each bar is on the axis, 0 to 1, and the gaps: (left, right, last bar before, first bar after)."""

    times: pd.DatetimeIndex
    places: FloatArray
    gaps: list[tuple[float, float, pd.Timestamp, pd.Timestamp]]

    @property
    def starts(self) -> NDArray[np.intp]:
        """Numbers of the bars with which the stretches between gaps begin."""
        lefts = [left for left, *_ in self.gaps]
        return np.searchsorted(self.places, lefts, side="right").astype(np.intp)

    def labels(self) -> str:
        """Dates below the axis, each under its place; the minor ones are left out on a narrow screen."""
        count = min(LABELS, len(self.times))
        chosen = np.unique(np.searchsorted(self.places, np.linspace(0.0, 1.0, count)).clip(0, len(self.times) - 1))
        form = "%Y-%m-%d" if self.times[-1] - self.times[0] > pd.Timedelta(days=5) else "%m-%d %H:%M"
        return "".join(
            f'<time class="{_side(number, len(chosen))}" style="left:{self.places[bar]:.2%}">'
            f"{self.times[bar].strftime(form)}</time>"
            for number, bar in enumerate(chosen.tolist())
        )

    def note(self) -> str:
        """What the hatched stretches leave out, in words; empty without gaps."""
        if not self.gaps:
            return ""
        spans = [f"{before:%Y-%m-%d} to {after:%Y-%m-%d}" for _, _, before, after in self.gaps]
        more = f", and {len(spans) - NAMED} more" if len(spans) > NAMED else ""
        return f'<p class="quiet">Hatched: no bars from {escape(", from ".join(spans[:NAMED]))}{more}.</p>'


def time_axis(times: pd.DatetimeIndex) -> TimeAxis:
    """Bars equally spaced, but for gaps in the data, which have a room of their own."""
    steps = np.diff(times) if len(times) > 1 else np.zeros(0, "timedelta64[ns]")
    long = np.asarray(steps > max(REST, pd.Timedelta(np.median(steps)) * UNUSUAL)) if len(steps) else np.zeros(0, bool)
    breaks = np.flatnonzero(long)
    room = min(ROOM, 0.5 / len(breaks)) if len(breaks) else 0.0
    usual = (1.0 - room * len(breaks)) / max(len(steps) - len(breaks), 1)
    widths = np.where(long, room, usual)
    places = np.concatenate([[0.0], np.cumsum(widths)]) if len(times) else np.zeros(0)
    if len(places) > 1:
        places = places / places[-1]
    gaps = [(places[bar], places[bar + 1], times[bar], times[bar + 1]) for bar in breaks.tolist()]
    return TimeAxis(times, places, gaps)


def _side(number: int, count: int) -> str:
    """The first label begins at its place, the last one ends there; every other one can be spared."""
    side = "first" if number == 0 else "last" if number == count - 1 else "middle"
    return f"{side} minor" if number % 2 else side


def segments(axis: TimeAxis, bars: Sequence[int]) -> list[list[int]]:
    """Positions in `bars` (ascending), one list for each stretch between gaps."""
    cuts = np.searchsorted(bars, axis.starts)
    return [part.tolist() for part in np.split(np.arange(len(bars)), cuts) if len(part)]
