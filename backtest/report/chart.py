"""A line chart as inline SVG: the lines stretch with the page, the labels are HTML and keep their size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.report.axis import TimeAxis, segments, time_axis

FloatArray = NDArray[np.float64]

WIDTH, HEIGHT = 1000, 300
HATCH = (
    '<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" x1="0" x2="0" y1="0" y2="8"/></pattern></defs>'
)
MARKS = 60
"""More marks of one kind are thinned to one in each of so many stretches of the width."""
BUCKETS = 500
"""Longer lines are drawn by the lowest and highest value of so many stretches: more than a screen can show apart."""


@dataclass(frozen=True)
class Line:
    """One line: its CSS class, and a value for each bar (NaN where it has none)."""

    style: str
    values: FloatArray


@dataclass(frozen=True)
class Marks:
    """Marks: their CSS class, which has their shape, and for each the number of its bar (-1: it is on none) and its
    value.
    """

    style: str
    places: NDArray[np.intp]
    values: FloatArray


def chart(
    lines: Sequence[Line],
    times: pd.Index,
    label: Callable[[float], str],
    *,
    filled: bool = False,
    marks: Sequence[Marks] = (),
) -> str:
    """The lines over the bars (nights and weekends take no room, gaps in the data are hatched), and marks; `filled`:
    the areas up to zero.
    """
    axis = time_axis(pd.DatetimeIndex(times))
    drawn: list[FloatArray] = [line.values for line in lines] + [points.values for points in marks]
    known = np.concatenate([values[np.isfinite(values)] for values in drawn])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = high - low
    paths = "".join(_path(line, axis, low, height, filled) for line in lines)
    shapes = "".join(_shapes(points, axis, low, height) for points in marks)
    holes = "".join(
        f'<rect x="{left * WIDTH:.1f}" y="0" width="{(right - left) * WIDTH:.1f}" height="{HEIGHT}"'
        ' fill="url(#hatch)"/>'
        for left, right, *_ in axis.gaps
    )
    rules = "".join(f'<line x1="0" x2="{WIDTH}" y1="{_y(t, low, height)}" y2="{_y(t, low, height)}"/>' for t in ticks)
    beside = "".join(
        f'<span style="top:{_y(tick, low, height) / HEIGHT:.2%}">{escape(label(tick))}</span>' for tick in ticks
    )
    return (
        f'<figure class="chart"><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{HATCH if holes else ""}<g class="rules">{rules}</g>{holes}{paths}</svg>{shapes}'
        f'<div class="values">{beside}</div></div><div class="times">{axis.labels()}</div>{axis.note()}</figure>'
    )


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from below `low` to above `high`.

    >>> nice_ticks(-0.23, 0.0)
    [-0.3, -0.2, -0.1, 0.0]
    """
    span = high - low or max(abs(high), 1.0) * 0.02
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * about >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    return [round(number * step, 12) for number in range(first, last + 1)]


def thinned(values: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Positions and values that draw the same line: the first, lowest, highest and last of each stretch."""
    if len(values) <= 3 * BUCKETS:
        return np.arange(len(values)), values
    kept = []
    for part in np.array_split(np.arange(len(values)), BUCKETS):
        finite = part[np.isfinite(values[part])]
        if len(finite):
            inside = values[finite]
            kept.append(np.unique([finite[0], finite[inside.argmin()], finite[inside.argmax()], finite[-1]]))
    places = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    return places, values[places]


def _path(line: Line, axis: TimeAxis, low: float, height: float, filled: bool) -> str:
    """The line, interrupted where there are no bars."""
    places, values = thinned(line.values)
    known = np.isfinite(values)
    places, values = places[known], values[known]
    points = [
        f"{axis.places[place] * WIDTH:.1f},{_y(value, low, height)}"
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
    ]
    return "".join(
        _stretch(line.style, [points[number] for number in part], _y(0.0, low, height) if filled else None)
        for part in segments(axis, places.tolist())
    )


def _stretch(style: str, points: list[str], zero: float | None) -> str:
    drawn = f'<polyline class="{style}" points="{" ".join(points)}"/>'
    if zero is None:
        return drawn
    start, end = points[0].split(",")[0], points[-1].split(",")[0]
    return f'<polygon class="{style}" points="{start},{zero} {" ".join(points)} {end},{zero}"/>{drawn}'


def _shapes(marks: Marks, axis: TimeAxis, low: float, height: float) -> str:
    """Shapes of a fixed size beside the picture, which is stretched with the page; of many that lie together one."""
    there = np.flatnonzero(marks.places >= 0)
    cells = np.floor(axis.places[marks.places[there]] * MARKS)
    shown = there[np.unique(cells, return_index=True)[1]] if len(there) > MARKS else there
    return "".join(
        f'<i class="mark {marks.style}" style="left:{axis.places[place]:.2%};'
        f'top:{_y(value, low, height) / HEIGHT:.2%}"></i>'
        for place, value in zip(marks.places[shown].tolist(), marks.values[shown].tolist(), strict=True)
    )


def bars(counts: FloatArray, edges: Sequence[float], label: Callable[[float], str]) -> str:
    """A histogram of `counts` between the first and the last of `edges`, labelled at each of these."""
    ticks = nice_ticks(0.0, float(counts.max()))
    width, top = WIDTH / len(counts), ticks[-1]
    drawn = "".join(
        f'<rect x="{number * width + 1:.1f}" y="{HEIGHT * (1 - count / top):.1f}" width="{width - 2:.1f}"'
        f' height="{HEIGHT * count / top:.1f}"/>'
        for number, count in enumerate(counts.tolist())
        if count
    )
    whole = [tick for tick in ticks if tick == round(tick)]
    rules = "".join(f'<line x1="0" x2="{WIDTH}" y1="{_y(t, 0.0, top)}" y2="{_y(t, 0.0, top)}"/>' for t in whole)
    beside = "".join(f'<span style="top:{_y(t, 0.0, top) / HEIGHT:.2%}">{t:,.0f}</span>' for t in whole)
    spread = (edges[-1] - edges[0]) or 1.0
    below = "".join(
        f'<time class="{"first" if edge == edges[0] else "last" if edge == edges[-1] else "middle"}"'
        f' style="left:{(edge - edges[0]) / spread:.2%}">{escape(label(edge))}</time>'
        for edge in edges
    )
    return (
        f'<figure class="chart"><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<g class="rules">{rules}</g><g class="bars">{drawn}</g></svg><div class="values">{beside}</div></div>'
        f'<div class="times">{below}</div></figure>'
    )


def _y(value: float, low: float, height: float) -> float:
    return round((1.0 - (value - low) / height) * HEIGHT, 1)
