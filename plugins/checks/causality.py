"""No look-ahead: what comes after a bar must not change anything at or before it."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from plugins.checks.bars import walk
from plugins.checks.compare import Difference, difference
from plugins.checks.outcome import Failed
from plugins.checks.subject import BUDGET, FeatureSubject

Poison = Callable[[pd.DataFrame, int], pd.DataFrame]


def _with_future(data: pd.DataFrame, first: int, future: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([data.iloc[:first], future]).set_axis(data.index)


def _other(data: pd.DataFrame, first: int) -> pd.DataFrame:
    """Another walk, on another level and falling."""
    found = walk(len(data), 99, 0.03, -0.02).iloc[first:] * 0.5
    return _with_future(
        data, first, found[list(data.columns)] if set(data.columns) <= set(found) else data.iloc[first:]
    )


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
    places = _places(len(subject.bars))
    most = subject.repeats(len(POISONS), len(places) * len(POISONS))
    end = time.perf_counter() + 4 * BUDGET
    done = 0
    for place in places:
        for what, poison in POISONS.items():
            if done >= most or (done >= len(POISONS) and time.perf_counter() > end):
                return f"{done} changed futures, at {done // len(POISONS)} bars, changed nothing before them"
            _look(subject, place, what, poison(subject.bars, place + 1))
            done += 1
    return f"{done} changed futures, at {len(places)} bars, changed nothing before them"


def _look(subject: FeatureSubject, place: int, what: str, data: pd.DataFrame) -> None:
    try:
        result = subject.compute(data, f"bars of which those after row {place} {what}")
    except Failed:
        if what == OPTIONAL:
            return
        raise
    found = difference(subject.baseline.iloc[: place + 1], result.iloc[: place + 1], subject.tolerance)
    if found is not None:
        raise Failed(f"when the bars after row {place} {what}, {found.text}", _mend(subject, place, found))


def _mend(subject: FeatureSubject, place: int, found: Difference) -> str:
    if found.row < 0:
        return (
            "the columns and their dtypes must not depend on the data: name them yourself, no dropna(axis=1), "
            "no get_dummies"
        )
    ahead, first = place - found.row + 1, int(np.argmax(subject.baseline.notna().any(axis=1).to_numpy()))
    if found.row > first and ahead <= 60:
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
