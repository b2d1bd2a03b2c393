"""A feature of bars of a longer interval, which are folded from the strategy's own: a fold inside a fold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray, name_of
from plugins.base.bars import with_columns
from plugins.base.streaming import Rows, StreamingFeature
from plugins.fold.derived import periods
from plugins.fold.derived.clock import Clock
from plugins.fold.derived.lags import Lags
from schemas.canonical import canonical_json, sha256_hex
from schemas.errors import PluginError


class AtInterval:
    """`feature` over longer bars; its value at a bar is that of the last complete longer one, never of a forming one.

    Parameters
    ----------
    clock
        When longer bars begin and end.
    interval_ms
        Length of the strategy's bars.
    lags
        Of the feature's columns, over longer bars.
    partial
        With a last column that is 1 where the last longer bar lacked its last part, else 0.

    Notes
    -----
    The state is the longer bar that is forming, the last values, and the feature's own state. NaN before the first
    longer bar is complete, and where the bar itself has NaN in what the feature reads.
    """

    def __init__(
        self, feature: StreamingFeature, clock: Clock, interval_ms: int, lags: Lags | None = None, partial: bool = False
    ) -> None:
        if feature.plugin.requires:
            raise PluginError(
                f"{name_of(feature.plugin)}: it requires {', '.join(feature.plugin.requires)}, which belong to the"
                " strategy's own bars; leave out `interval`"
            )
        self.feature, self.clock, self.lags, self.partial = feature, clock, lags, partial
        self.reads = (*feature.reads, *(() if "time" in feature.reads else ("time",)))
        self._reads = periods.reads_of(feature.reads)
        self._most = clock.most_bars(interval_ms)
        self._prepared = False
        own = feature.columns
        self.columns = (*own, *(lags.columns if lags else ()), *((f"{own[0]}.partial",) if partial else ()))
        fields: list[Any] = [("period", periods.PERIOD), ("held", "f8", (len(self.columns),))]
        self._parts = [("feature", feature), *([("lags", lags)] if lags else [])]
        fields += [(name, part.state_dtype) for name, part in self._parts]
        self.state_dtype = np.dtype(fields)

    @property
    def plugin(self) -> BaseFeature:
        return self.feature.plugin

    @property
    def warmup(self) -> int:
        """Bars of the strategy, where no longer bar lacks one."""
        longer = self.feature.warmup + (self.lags.warmup if self.lags else 0) + 1
        return longer * self._most - 1

    @property
    def layout(self) -> str:
        parts = [part.layout for _, part in self._parts]
        clock = [self.clock.length_ms, self.clock.digest, self.partial]
        return sha256_hex(canonical_json(["interval-1", *clock, *parts]))[:16]

    def new_states(self, count: int) -> Rows:
        states = np.zeros(count, self.state_dtype)
        states["held"] = np.nan
        return states

    def prepare(self) -> None:
        for _, part in self._parts:
            part.prepare()
        periods.prepare()
        self._prepared = True

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        if (
            not self._prepared
        ):  # with the first bar, and not when the first longer one is complete, in the midst of work
            self.prepare()
        bars = np.ascontiguousarray(bars)
        held, slots = states["held"], np.ascontiguousarray(slots)
        rows, longer, partial = periods.fold_periods(
            states["period"], held, slots, bars, self.clock, self._reads, outs
        )  # fmt: skip
        if len(rows):
            new = self._values(states, slots[rows], longer, partial)
            periods.hold(held, slots, bars, self._reads, rows, new, outs)

    def _values(self, states: Rows, slots: NDArray[np.int64], longer: Rows, partial: FloatArray) -> FloatArray:
        """Of longer bars, of these slots."""
        touched, places = np.unique(slots, return_inverse=True)
        made: list[FloatArray] = []
        for name, part in self._parts:
            own = np.ascontiguousarray(states[name][touched])
            outs = np.empty((len(longer), len(part.columns)))
            part.run(own, places, with_columns(longer, part.plugin.requires, [*made[0].T] if made else []), outs)
            states[name][touched] = own
            made.append(outs)
        return np.column_stack([*made, partial] if self.partial else made)
