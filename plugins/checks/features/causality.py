"""No look-ahead: what comes after a bar must not change anything at or before it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plugins.checks.bars import walk
from plugins.checks.features.subject import BUDGET, FeatureSubject
from plugins.checks.findings.compare import Difference, difference
from plugins.checks.findings.outcome import Failed

Poison = Callable[[pd.DataFrame, int], pd.DataFrame]


def _with_future(data: pd.DataFrame, first: int, future: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([data.iloc[:first], future]).set_axis(data.index)


def _other(data: pd.DataFrame, first: int) -> pd.DataFrame:
    """Another walk, on another level and falling."""
    bars = walk(len(data), 99, 0.03, -0.02).iloc[first:] * 0.5
    return _with_future(data, first, bars[list(data.columns)] if set(data.columns) <= set(bars) else data.iloc[first:])


POISONS: dict[str, Poison] = {
    "were multiplied by 1000": lambda data, first: _with_future(data, first, data.iloc[first:] * 1000.0),
    "were cut off": lambda data, first: data.iloc[:first],
    "were replaced by others": _other,
    "became NaN": lambda data, first: _with_future(data, first, data.iloc[first:] * np.nan),
    "were divided by 1000": lambda data, first: _with_future(data, first, data.iloc[first:] / 1000.0),
}
OPTIONAL = "became NaN"
"""A plugin may refuse frames with holes: they never come live. What it returns for one must still not look ahead."""


def no_look_ahead(subject: FeatureSubject) -> str:
    """What comes after a bar was multiplied by 1000, cut off, replaced, made NaN: nothing up to it may change."""
    done = _futures(subject, _Before(subject, "daily bars", subject.bars, subject.baseline), len(POISONS), 4 * BUDGET)
    if subject.cost < 0.1:  # the length of a day shows only in bars within one
        minutes = walk(len(subject.bars), 6)
        done += _futures(subject, _Before(subject, "minute bars", minutes, subject.compute(minutes)), 3, BUDGET)
    if any(name.startswith("with.") for name in subject.plugin.requires):
        holed = _without_some(subject)
        before = _Before(subject, "bars beside a halting reference", holed, subject.compute(holed))
        done += _futures(subject, before, len(POISONS), BUDGET, _last_of_holes(holed, subject))
    return f"{done} changed futures changed nothing before them"


def _without_some(subject: FeatureSubject) -> pd.DataFrame:
    """The usual bars, whose reference now and then has none: what fills that from later ones looks ahead."""
    data, requires = subject.completed(subject.bars), list(subject.plugin.requires)
    rows = np.arange(len(data))
    data.loc[data.index[(rows % 7 == 3) | (rows // 4 % 11 == 5)], requires] = np.nan
    return data


def _last_of_holes(data: pd.DataFrame, subject: FeatureSubject) -> list[int]:
    """Rows without a reference before one that has it, those in the middle first: only there does the next one show,
    and a busy machine has time for few places.
    """
    missing = data[subject.plugin.requires[0]].isna().to_numpy()
    rows = np.flatnonzero(missing[:-1] & ~missing[1:])
    return [int(row) for row in sorted(rows, key=lambda row: (abs(int(row) - len(data) // 2), row))]


@dataclass(frozen=True)
class _Before:
    """Bars, and a plugin's columns for them unchanged."""

    subject: FeatureSubject
    what: str
    bars: pd.DataFrame
    result: pd.DataFrame


def _futures(subject: FeatureSubject, before: _Before, least: int, seconds: float, places: Sequence[int] = ()) -> int:
    """Changes the future of some bars, at least `least` of all ways and places, more for a quick plugin."""
    most = max(least, subject.repeats(least, 16 * len(POISONS)))
    end, done = time.perf_counter() + seconds, 0
    for place in places or _places(len(before.bars)):
        for what, poison in POISONS.items():
            if done >= most or (done >= least and time.perf_counter() > end):
                return done
            _look(before, place, what, poison(before.bars, place + 1))
            done += 1
    return done


def _look(before: _Before, place: int, what: str, data: pd.DataFrame) -> None:
    subject = before.subject
    try:
        result = subject.compute(data, f"{before.what} of which those after row {place} {what}")
    except Failed:
        if what == OPTIONAL:
            return
        raise
    deviation = difference(before.result.iloc[: place + 1], result.iloc[: place + 1], subject.tolerance)
    if deviation is not None:
        raise Failed(
            f"when the {before.what} after row {place} {what}, {deviation.text}", _mend(before, place, deviation)
        )


def _mend(before: _Before, place: int, deviation: Difference) -> str:
    if deviation.row < 0:
        return (
            "the columns and their dtypes must not depend on the data: name them yourself, no dropna(axis=1), "
            "no get_dummies"
        )
    ahead, first = place - deviation.row + 1, int(np.argmax(before.result.notna().any(axis=1).to_numpy()))
    if deviation.row > first and ahead <= 60:
        return (
            f"it reaches {ahead} bar{'s' * (ahead > 1)} ahead: look for shift(-n), center=True, bfill, interpolate, "
            "or resampling that labels a bin before its end"
        )
    return (
        "something is computed over the whole frame: a mean, minimum, quantile, rank, sort or fit; "
        "make it rolling(n) or expanding(), or fit on earlier rows only"
    )


def _places(count: int) -> list[int]:
    """Rows after which the future is changed: the middle first, then the ends, then anywhere."""
    fixed = [count // 2, 3 * count // 4, 0, 1, 2, 5, count // 4, count - 2]
    random = np.random.default_rng(7).permutation(count - 1)[:24].tolist()
    return list(dict.fromkeys(place for place in [*fixed, *random] if 0 <= place < count - 1))
