"""Plugins that look at all symbols of a time at once: signal generators and features; how a frame is cut into
cross-sections.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import BaseFeature, BaseSignalGenerator, Decisions, FloatArray, name_of
from plugins.base.plugin_errors import plugin_errors
from schemas.errors import PluginError

NO_PREDICTION = "no prediction"
Names = NDArray[np.str_]


@dataclass(slots=True)
class Ranked:
    """What was decided on one cross-section, an entry a symbol, in the order of the symbols."""

    signal: Sequence[str]
    weight: FloatArray
    reason: Sequence[str]


class CrossSectionGenerator(BaseSignalGenerator):
    """A generator that decides on the predictions of one time, whatever the order in which they came.

    Override `section`. `generate` cuts its frame by time, puts each part in the order of symbols, leaves out what is no
    finite number (HOLD, no weight, no rank: "no prediction"), and adds `rank`: 1 is the lowest prediction, ties go by
    symbol.
    """

    cross_section: ClassVar[bool] = True

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.section is CrossSectionGenerator.section:
            return "a CrossSectionGenerator needs `section`; define section(self, predictions, rank)"
        return super().class_fault()

    def section(self, predictions: FloatArray, rank: NDArray[np.int64]) -> Ranked:
        """Decisions for finite `predictions` of one time, by symbol, at least one; `rank` goes from 1, the lowest."""
        raise NotImplementedError

    def decide(self, columns: Any) -> Decisions:
        raise PluginError(f"{name_of(self)}: it decides on a whole cross-section; a row alone says nothing")

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """`predictions` with the columns `signal`, `weight`, `rank` and `reason`.

        Index or columns name `symbol` and `time`; without a time all rows are one cross-section. Raises `PluginError`
        without `prediction` or symbols, and where one symbol is there twice at one time.
        """
        if "prediction" not in predictions:
            raise PluginError(f"{name_of(self)}: there is no column prediction")
        values = predictions["prediction"].to_numpy(np.float64, na_value=np.nan)
        signal, reason = np.empty(len(values), object), np.empty(len(values), object)
        weight, ranks = np.empty(len(values)), np.empty(len(values))
        for rows in sections(predictions, name_of(self)):
            found, ranks[rows] = self._decided(values[rows])
            signal[rows], weight[rows], reason[rows] = found.signal, found.weight, found.reason
        return predictions.assign(signal=signal, weight=weight, rank=ranks, reason=reason)

    def decide_section(self, predictions: FloatArray) -> Decisions:
        """`generate` for one cross-section, by symbol; what a worker calls."""
        return self._decided(predictions)[0]

    def _decided(self, predictions: FloatArray) -> tuple[Decisions, FloatArray]:
        """Decisions and ranks."""
        size = len(predictions)
        signal, reason = np.full(size, "HOLD", object), np.full(size, NO_PREDICTION, object)
        weight, ranks = np.full(size, np.nan), np.full(size, np.nan)
        known = np.flatnonzero(np.isfinite(predictions))
        if len(known):
            rank = ranked(predictions[known])
            found = self.section(predictions[known], rank)
            signal[known], weight[known], ranks[known], reason[known] = found.signal, found.weight, rank, found.reason
        return Decisions(signal.tolist(), weight, reason.tolist()), ranks


def ranked(predictions: FloatArray) -> NDArray[np.int64]:
    """Ranks from 1, the lowest; of equal ones the first has the lower."""
    rank = np.empty(len(predictions), np.int64)
    rank[np.argsort(predictions, kind="stable")] = np.arange(1, len(predictions) + 1)
    return rank


def sections(predictions: pd.DataFrame, name: str) -> Iterator[NDArray[np.intp]]:
    """The rows of each time, by symbol; `name` is told in errors."""
    symbols, times = _labels(predictions, name)
    order = np.lexsort((symbols, times))
    later = times[order][1:] != times[order][:-1]
    twice = np.flatnonzero(~later & (symbols[order][1:] == symbols[order][:-1]))
    if len(twice):
        raise PluginError(f"{name}: {symbols[order][twice[0]]} is there twice at one time")
    yield from np.split(order, np.flatnonzero(later) + 1) if len(order) else ()


def _labels(predictions: pd.DataFrame, name: str) -> tuple[Names, NDArray[np.int64]]:
    """Each row's symbol, and its time as a number (equal for equal times)."""
    index = predictions.index
    unnamed = isinstance(index, pd.MultiIndex) and not {"symbol", "time"} & set(index.names)

    def label(of: str, level: int) -> Any:
        if of in predictions:
            return predictions[of]
        if of in index.names:
            return index.get_level_values(of)
        return index.get_level_values(level) if unnamed else None

    symbols, times = label("symbol", 0), label("time", -1)
    if symbols is None:
        if times is None and pd.api.types.is_string_dtype(index.dtype):
            symbols = index
        elif len(predictions):
            raise PluginError(f"{name}: the rows have no `symbol`; name symbol and time in the index or as columns")
        else:
            symbols = []
    codes = np.zeros(len(predictions), np.int64) if times is None else pd.factorize(times, sort=True)[0]
    return np.asarray(symbols, dtype=np.str_), codes.astype(np.int64)


class SectionFeature(BaseFeature):
    """A column of the cross-section: what a symbol's value of another column is among those of all symbols then.

    Override `section`. The column is called ``COLUMN.NAME``, NAME being the key's last part.

    Parameters
    ----------
    column
        Of a feature, of what is derived of one, or of an expression.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.section is SectionFeature.section:
            return "a SectionFeature needs `section`; define section(self, values)"
        return super().class_fault()

    @property
    def column(self) -> str:
        """The column that it is made of."""
        if not isinstance(name := self.params.get("column"), str):
            raise PluginError(f"{name_of(self)}: it is made of another column; name it, as in `column: rsi`")
        return name

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return (f"{self.column}.{name_of(self).rpartition('.')[2]}",)

    def section(self, values: FloatArray) -> FloatArray:
        """A value for each of the finite `values` of one time, by symbol, at least one; NaN: unknown."""
        raise NotImplementedError

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """The column for `data`, whose index or columns name `symbol` and `time`; without a time all rows are one
        cross-section.
        """
        values = data[self.column].to_numpy(np.float64, na_value=np.nan)
        result = np.empty(len(values))
        for rows in sections(data, name_of(self)):
            result[rows] = self.among(values[rows])
        return pd.DataFrame({self.outputs[0]: result}, index=data.index)

    def among(self, values: FloatArray) -> FloatArray:
        """`section` of the `values` of one time, by symbol, NaN where one is unknown.

        Raises
        ------
        PluginError
            It fails, or does not give a number for each.
        """
        result = np.full(len(values), np.nan)
        known = np.isfinite(values)
        if not known.any():
            return result
        with plugin_errors(name_of(self), "section"):
            found = np.asarray(self.section(np.ascontiguousarray(values[known])), np.float64)
        if found.shape != (size := int(known.sum()),):
            raise PluginError(
                f"{name_of(self)}: section returned {found.shape} for {size} values; return one number for each"
            )
        result[known] = np.where(np.isfinite(found), found, np.nan)
        return result
