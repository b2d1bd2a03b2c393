"""What a run of the pipeline saw at chosen bars: the bars behind each, and the columns that decided."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from plugins.pipeline.strategy_run import Observation
from plugins.strategy.target_weights import none_if_nan


@dataclass(frozen=True)
class Evidence:
    """Of one bar: it and those before it (trailing warm-up), how many the state holds, and every column's value."""

    bars: list[dict[str, Any]]
    folded: int
    columns: dict[str, float | None]


@dataclass
class Witness:
    """Keeps the evidence at bars of the `offsets` or `times` given, by offset; of each symbol the last `kept` bars
    stay in memory.
    """

    offsets: Collection[int]
    times: Collection[int]
    kept: int
    counts: Callable[[int], bool] = lambda offset: True
    """Is this offset the run's to speak for?"""
    found: dict[int, Evidence] = field(default_factory=dict)
    _last: dict[int, tuple[NDArray[np.void], NDArray[np.int64]]] = field(default_factory=dict)

    def __call__(self, seen: Observation) -> None:
        order = np.argsort(seen.accepted.slots, kind="stable")
        cuts = np.flatnonzero(np.diff(seen.accepted.slots[order])) + 1
        loud = np.full(len(seen.accepted.bars), -1)
        loud[seen.published] = np.arange(len(seen.published))
        hits = np.isin(seen.accepted.offsets, list(self.offsets)) | np.isin(
            seen.accepted.bars["time"], list(self.times)
        )
        hits &= loud >= 0
        for rows in np.split(order, cuts):
            self._symbol(seen, rows, loud, hits)

    def _symbol(
        self, seen: Observation, rows: NDArray[np.int64], loud: NDArray[np.int64], hits: NDArray[np.bool_]
    ) -> None:
        slot = int(seen.accepted.slots[rows[0]])
        bars, offsets = seen.accepted.bars[rows], seen.accepted.offsets[rows]
        if slot in self._last:
            earlier, before = self._last[slot]
            bars, offsets = np.concatenate([earlier, bars]), np.concatenate([before, offsets])
        first = len(bars) - len(rows)
        for place in np.flatnonzero(hits[rows]).tolist():
            row, end = rows[place], first + place + 1
            if self.counts(int(seen.accepted.offsets[row])):
                part = slice(max(0, end - self.kept), end)
                values = {name: none_if_nan(float(column[loud[row]])) for name, column in seen.columns.items()}
                self.found[int(seen.accepted.offsets[row])] = Evidence(
                    _plain(bars[part], offsets[part]), int(seen.counts[row]), values
                )
        self._last[slot] = (bars[-self.kept :], offsets[-self.kept :])


def _plain(bars: NDArray[np.void], offsets: NDArray[np.int64]) -> list[dict[str, Any]]:
    return [
        {"offset": offset, "close_time": int(bar["time"])} | {name: float(bar[name]) for name in COLUMNS}
        for bar, offset in zip(bars, offsets.tolist(), strict=True)
    ]
