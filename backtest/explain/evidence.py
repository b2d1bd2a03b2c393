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
class EvidenceObserver:
    """Keeps the evidence at bars of the `offsets` or `times` given, by offset; of each symbol the last `kept` bars
    stay in memory.
    """

    offsets: Collection[int]
    times: Collection[int]
    kept: int
    counts: Callable[[int], bool] = lambda offset: True
    """Is this offset the run's to speak for?"""
    evidence: dict[int, Evidence] = field(default_factory=dict)
    _last: dict[int, tuple[NDArray[np.void], NDArray[np.int64]]] = field(default_factory=dict)

    def __call__(self, observation: Observation) -> None:
        order = np.argsort(observation.accepted.slots, kind="stable")
        cuts = np.flatnonzero(np.diff(observation.accepted.slots[order])) + 1
        published = np.full(len(observation.accepted.bars), -1)
        published[observation.published] = np.arange(len(observation.published))
        hits = np.isin(observation.accepted.offsets, list(self.offsets)) | np.isin(
            observation.accepted.bars["time"], list(self.times)
        )
        hits &= published >= 0
        for rows in np.split(order, cuts):
            self._symbol(observation, rows, published, hits)

    def _symbol(
        self, observation: Observation, rows: NDArray[np.int64], published: NDArray[np.int64], hits: NDArray[np.bool_]
    ) -> None:
        slot = int(observation.accepted.slots[rows[0]])
        bars, offsets = observation.accepted.bars[rows], observation.accepted.offsets[rows]
        if slot in self._last:
            earlier, before = self._last[slot]
            bars, offsets = np.concatenate([earlier, bars]), np.concatenate([before, offsets])
        first = len(bars) - len(rows)
        for place in np.flatnonzero(hits[rows]).tolist():
            row, end = rows[place], first + place + 1
            if self.counts(int(observation.accepted.offsets[row])):
                part = slice(max(0, end - self.kept), end)
                values = {
                    name: none_if_nan(float(column[published[row]])) for name, column in observation.columns.items()
                }
                self.evidence[int(observation.accepted.offsets[row])] = Evidence(
                    _plain(bars[part], offsets[part]), int(observation.counts[row]), values
                )
        self._last[slot] = (bars[-self.kept :], offsets[-self.kept :])


def _plain(bars: NDArray[np.void], offsets: NDArray[np.int64]) -> list[dict[str, Any]]:
    return [
        {"offset": offset, "close_time": int(bar["time"])} | {name: float(bar[name]) for name in COLUMNS}
        for bar, offset in zip(bars, offsets.tolist(), strict=True)
    ]
