"""A line chart as inline SVG: the lines stretch with the page, the labels are HTML and keep their size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WIDTH, HEIGHT = 1000, 300
BUCKETS = 500
"""Longer lines are drawn by the lowest and highest value of so many stretches: more than a screen can show apart."""


@dataclass(frozen=True)
class Line:
    """One line: its CSS class, and a value for each bar (NaN where it has none)."""

    style: str
    values: FloatArray


@dataclass(frozen=True)
class Marks:
    """Dots: their CSS class, and for each the number of its bar (-1: it is on none) and its value."""

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
    """The lines over the bars, equally spaced (nights and weekends take no room), and dots; `filled`: the areas up to
    zero.
    """
    drawn: list[FloatArray] = [line.values for line in lines] + [points.values for points in marks]
    known = np.concatenate([values[np.isfinite(values)] for values in drawn])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = high - low
    paths = "".join(_path(line, low, height, filled) for line in lines)
    paths += "".join(_dots(points, len(times), low, height) for points in marks)
    rules = "".join(f'<line x1="0" x2="{WIDTH}" y1="{_y(t, low, height)}" y2="{_y(t, low, height)}"/>' for t in ticks)
    beside = "".join(
        f'<span style="top:{_y(tick, low, height) / HEIGHT:.2%}">{escape(label(tick))}</span>' for tick in ticks
    )
    return (
        f'<figure class="chart"><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<g class="rules">{rules}</g>{paths}</svg><div class="values">{beside}</div></div>'
        f'<div class="times">{_time_labels(times)}</div></figure>'
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


def _path(line: Line, low: float, height: float, filled: bool) -> str:
    places, values = thinned(line.values)
    right = max(len(line.values) - 1, 1)
    points = [
        f"{place / right * WIDTH:.1f},{_y(value, low, height)}"
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
        if math.isfinite(value)
    ]
    if not points:
        return ""
    drawn = f'<polyline class="{line.style}" points="{" ".join(points)}"/>'
    if not filled:
        return drawn
    zero = _y(0.0, low, height)
    start, end = points[0].split(",")[0], points[-1].split(",")[0]
    return f'<polygon class="{line.style}" points="{start},{zero} {" ".join(points)} {end},{zero}"/>{drawn}'


def _dots(marks: Marks, count: int, low: float, height: float) -> str:
    """Strokes without length and with round ends: they stay round, however the picture is stretched."""
    right = max(count - 1, 1)
    drawn = "".join(
        f"M{place / right * WIDTH:.1f},{_y(value, low, height)}h0"
        for place, value in zip(marks.places.tolist(), marks.values.tolist(), strict=True)
        if place >= 0
    )
    return f'<path class="dots {marks.style}" d="{drawn}"/>' if drawn else ""


def bars(counts: FloatArray, labels: Sequence[str]) -> str:
    """A histogram; the labels are spread over its width."""
    width, top = WIDTH / len(counts), float(counts.max()) or 1.0
    drawn = "".join(
        f'<rect x="{number * width + 1:.1f}" y="{HEIGHT * (1 - count / top):.1f}" width="{width - 2:.1f}"'
        f' height="{HEIGHT * count / top:.1f}"/>'
        for number, count in enumerate(counts.tolist())
        if count
    )
    beside = f'<span style="top:0">{top:,.0f}</span>'
    below = "".join(f"<span>{escape(label)}</span>" for label in labels)
    return (
        f'<figure class="chart"><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<g class="bars">{drawn}</g></svg><div class="values">{beside}</div></div>'
        f'<div class="times">{below}</div></figure>'
    )


def _y(value: float, low: float, height: float) -> float:
    return round((1.0 - (value - low) / height) * HEIGHT, 1)


def _time_labels(times: pd.Index) -> str:
    """Five dates; those in between are left out on a narrow screen."""
    count = min(5, len(times))
    places = np.linspace(0, len(times) - 1, count).round().astype(int)
    long = (times[-1] - times[0]) > pd.Timedelta(days=5)
    form = "%Y-%m-%d" if long else "%m-%d %H:%M"
    return "".join(
        f"<time{' class=minor' if number % 2 else ''}>{times[place].strftime(form)}</time>"
        for number, place in enumerate(places.tolist())
    )
