"""A signal generator under test: predictions of several symbols, and what it decided on them."""

import math
import re
from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from plugins.base import SIGNALS, BaseSignalGenerator
from plugins.checks.features.subject import describe
from plugins.checks.findings.outcome import Failed

SYMBOLS = ("AAPL", "BAC", "IBM", "JNJ", "MSFT", "ORCL", "SPY", "T", "WMT", "XOM", "XRX", "ZION")
TIMES = 80
DECIDED = ("signal", "weight", "reason")
NAME, QUOTED = re.compile(r"[A-Za-z][\w.]*"), re.compile("'([^']+)'")
MOST_COLUMNS = 64
"""Columns that a generator is given one after the other, as it asks for them."""


def predictions(seed: int = 1, count: int = TIMES, more: Sequence[str] = ()) -> pd.DataFrame:
    """Predictions of twelve symbols, by time and then symbol: an index (symbol, time), as cross-sections need it; with
    `more` columns, of values between -1 and 1.
    """
    random = np.random.default_rng(seed)
    times = pd.date_range("2024-01-02 14:31", periods=count, freq="min", tz="UTC").as_unit("ms")
    index = pd.MultiIndex.from_product([times, SYMBOLS], names=["time", "symbol"]).swaplevel()
    size = len(index)
    frame = pd.DataFrame(
        {
            "prediction": random.normal(0.0, 0.8, size).round(1),  # so there are ties
            "close": 100.0 + random.normal(0.0, 1.0, size).cumsum() * 0.1,
            "rsi": random.uniform(5.0, 95.0, size),
        },
        index,
    )
    return frame.assign(**{name: random.uniform(-1.0, 1.0, size) for name in more})


class SignalSubject:
    """What the checks of a signal generator share."""

    def __init__(self, cls: type[BaseSignalGenerator], params: dict[str, Any]) -> None:
        self.cls, self.params = cls, params

    @cached_property
    def asked(self) -> list[str]:
        """Columns of features that it asks for: its fold's, and others as they turn out to be missing."""
        given = predictions(count=1)
        fold = self.new().fold
        names = [name for name in (fold.requires if fold is not None else ()) if name not in given]
        while len(names) < MOST_COLUMNS and (name := self._missing(predictions(more=names))) is not None:
            names.append(name)
        return names

    @cached_property
    def data(self) -> pd.DataFrame:
        return predictions(more=self.asked)

    def _missing(self, data: pd.DataFrame) -> str | None:
        """The column for want of which it fails; None when it does not."""
        try:
            self.new().generate(data)
        except (KeyError, AttributeError, ValueError, IndexError) as error:
            words = [str(getattr(error, "name", "")), *(str(part) for part in error.args)]
            words += [name for word in words for name in QUOTED.findall(word)]
            return next((word for word in words if NAME.fullmatch(word) and word not in data), None)
        except (Exception, SystemExit):  # a check says so
            return None
        return None

    def new(self) -> BaseSignalGenerator:
        try:
            return self.cls(**self.params)
        except Exception as error:
            raise Failed(f"it cannot be created: {describe(error)}", "see the parameters that it declares") from error

    @cached_property
    def baseline(self) -> pd.DataFrame:
        return self.generate(self.data)

    def generate(
        self, data: pd.DataFrame, what: str = "usual predictions", plugin: BaseSignalGenerator | None = None
    ) -> pd.DataFrame:
        """`signal`, `weight` (NaN: none) and `reason` for a copy of `data`; `Failed` unless all can be used."""
        return _decided(self.raw(data, what, plugin))

    def raw(
        self, data: pd.DataFrame, what: str = "usual predictions", plugin: BaseSignalGenerator | None = None
    ) -> pd.DataFrame:
        """The frame that `generate` returned for a copy of `data`; `Failed` when it is another's."""
        try:
            decisions = (plugin or self.new()).generate(data.copy())
        except (Exception, SystemExit) as error:
            raise Failed(
                f"generate raised {describe(error)} on {what} ({len(data)} rows)", "decide HOLD instead"
            ) from error
        if not isinstance(decisions, pd.DataFrame) or "signal" not in decisions:
            raise Failed("generate returned no frame with a `signal` column", "return predictions.assign(signal=…)")
        if not decisions.index.equals(data.index):
            raise Failed(f"for {what} it returned {len(decisions)} of {len(data)} rows, or another index or order",
                         "return one row for each of predictions', in its order")  # fmt: skip
        if decisions.columns.duplicated().any():
            raise Failed("there are two columns of one name", "name each column once")
        return decisions


def _decided(decisions: pd.DataFrame) -> pd.DataFrame:
    weights = decisions["weight"] if "weight" in decisions else pd.Series(np.nan, decisions.index)
    signals = [_signal(value) for value in decisions["signal"].tolist()]
    sizes = [_size("weight", value) for value in weights.tolist()]
    reasons = decisions["reason"].astype(str).tolist() if "reason" in decisions else [""] * len(decisions)
    return pd.DataFrame({"signal": signals, "weight": sizes, "reason": reasons}, decisions.index, dtype=object)


def _signal(value: Any) -> str | float:
    if isinstance(value, str):
        if value not in SIGNALS:
            raise Failed(f"the signal {value!r} is none of {', '.join(SIGNALS)}, and no number", "use one of these")
        return value
    number = _size("signal", value)
    return "HOLD" if math.isnan(number) else number


def _size(name: str, value: Any) -> float:
    if value is None or value is pd.NA or value is pd.NaT:
        return math.nan
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or math.isinf(value):
        raise Failed(f"the {name} {value!r} is not a finite number", "give a finite number, or NaN for none")
    return float(value)


def first_difference(one: pd.DataFrame, other: pd.DataFrame, columns: tuple[str, ...] = DECIDED) -> str | None:
    """Where two frames of decisions differ: row and values; None when they do not."""
    for name in columns:
        for place, was, became in zip(one.index, one[name].tolist(), other[name].tolist(), strict=True):
            if was != became and not (was != was and became != became):
                return f"{name} of {_place(place)} was {was!r} and became {became!r}"
    return None


def _place(label: Any) -> str:
    return f"{label[0]} at {label[1]:%H:%M}" if isinstance(label, tuple) else f"row {label}"
