"""A strategy's shadow: a second model that predicts beside the one in force, and decides nothing.

It is asked after the signals are made, from copies, and whatever it raises becomes a record without its prediction.
Its state, the last rows of a sequence model, is a part of its own in the strategy's snapshots.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseModel, FloatArray
from plugins.base.streaming import Rows
from plugins.fold.row_ring import RowRing
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.strategy.ready import ReadyStrategy, load_model, ring_of
from schemas.canonical import sha256_hex
from schemas.configuration import Strategy
from schemas.wire import BesideState, Model, ShadowPrediction

log = logging.getLogger("alphawire.shadow")

IntArray = NDArray[np.int64]
STATELESS = np.dtype([("first", "i8")])


class Standing:
    """How a shadow has done since the process started, on all its partitions: rows that failed, and how its predictions
    compare with the others, over the rows where both are there.

    Sums about the first pair of values, so that a large mean does not drown small differences.
    """

    def __init__(self) -> None:
        self.rows = self.failures = 0
        self.first_failure: str | None = None
        self._origin = (0.0, 0.0)
        self._sums = np.zeros(6)
        self._signs = 0

    def add(self, model: FloatArray, shadow: FloatArray) -> None:
        both = np.isfinite(model) & np.isfinite(shadow)
        if not both.any():
            return
        x, y = model[both], shadow[both]
        if not self.rows:
            self._origin = (float(x[0]), float(y[0]))
        self.rows += len(x)
        self._signs += int((np.sign(x) != np.sign(y)).sum())
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.abs(x - y).sum()
            x, y = x - self._origin[0], y - self._origin[1]
            self._sums += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum(), apart]

    def told(self) -> dict[str, float | int | None]:
        """Rows with both, Pearson's correlation (None: undefined), mean absolute difference, the share of rows where
        the predictions differ in sign; and rows where the shadow failed.
        """
        n, (x, y, xx, yy, xy, apart) = self.rows, self._sums.tolist()
        spread = (xx - x * x / n) * (yy - y * y / n) if n else 0.0
        correlation = (xy - x * y / n) / math.sqrt(spread) if spread > 0 else None
        return {
            "rows": n,
            "correlation": None if correlation is None else _finite(correlation),
            "mean_absolute_difference": _finite(apart / n) if n else None,
            "other_sign": self._signs / n if n else None,
            "failures": self.failures,
        }


@dataclass(frozen=True)
class ReadyShadow:
    """A model that is ready to predict beside a strategy; `warmup`: bars of a symbol before its features are warm, and
    its window full.
    """

    strategy: str
    columns: tuple[str, ...]
    model: BaseModel
    model_id: Model
    ring: RowRing | None
    warmup: int
    standing: Standing = field(default_factory=Standing, compare=False)

    def predict(self, windows: FloatArray, symbols: list[str]) -> FloatArray:
        """One prediction a window, exactly as a strategy's own model is asked; `ValueError` for another number."""
        if isinstance(self.model, PerSymbolModel):
            found = self.model.predict_symbols(symbols, windows, list(self.columns))
        else:
            found = self.model.predict_windows(windows, list(self.columns))
        predictions = np.asarray(found, np.float64)
        if predictions.shape != (len(windows),):
            raise ValueError(f"{predictions.shape} predictions for {len(windows)} rows")
        return predictions


def ready_shadow(ready: ReadyStrategy, strategy: Strategy, base: Path = Path()) -> ReadyShadow | None:
    """The shadow that the configuration names beside the strategy `ready`, certified like any model; None: none.

    Raises what a model's loading raises: `ConfigurationError`, `ArtifactError`, `PluginError`.
    """
    if strategy.shadow is None:
        return None
    own = strategy.model_copy(update={"model": strategy.shadow})
    model, model_id = load_model(ready.name, own, ready.columns, base, "shadow")
    assert model is not None
    assert model_id is not None
    taken = 0 if ready.ring is None else ready.ring.state_dtype.itemsize
    ring = ring_of(ready.name, model, len(ready.columns), "shadow", taken)
    features = max(bound.warmup for bound in ready.features)
    warmup = features + (ring.lookback - 1 if ring else 0)
    shadow = ReadyShadow(ready.name, tuple(ready.columns), model, model_id, ring, warmup)
    lookback = ring.lookback if ring else 1
    shadow.predict(np.zeros((1, lookback, len(ready.columns))), ["X"])  # compiles what the first bar would wait for
    return shadow


class ShadowSnapshot(NamedTuple):
    """States, and how many predictions waited."""

    states: Rows
    said: int


class ShadowRun:
    """A shadow at work on one partition: the last rows of each symbol, where its model looks back.

    The state's `first` is the number, among the symbol's bars, of the first row that the ring has seen: a shadow that
    joins later predicts from its first whole window on.
    """

    def __init__(self, shadow: ReadyShadow) -> None:
        self.shadow = shadow
        ring = shadow.ring
        self._dtype = np.dtype([*STATELESS.descr, ("rows", ring.state_dtype["rows"])]) if ring else STATELESS
        self.layout = ring.layout if ring else ""
        self.states: Rows = np.zeros(0, self._dtype)
        self._said: list[ShadowPrediction] = []

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        self.states = np.concatenate([self.states, np.zeros(size - len(self.states), self._dtype)])

    def keep(self, slots: IntArray) -> ShadowSnapshot:
        """The states of `slots` as they are now, for `put_back`."""
        return ShadowSnapshot(self.states[slots], len(self._said))

    def put_back(self, slots: IntArray, kept: ShadowSnapshot) -> None:
        """Undoes what was fed since, but for what `Standing` has counted."""
        self.states[slots] = kept.states
        del self._said[kept.said :]

    def feed(
        self, times: IntArray, slots: IntArray, offsets: IntArray, counts: IntArray, values: FloatArray,
        loud: IntArray, predictions: FloatArray, model: Model | None, symbols: Sequence[str],
    ) -> None:  # fmt: skip
        """Sees the feature rows `values`; says something of the rows `loud`, for which the strategy's own model says
        `predictions`.
        """
        own, faults = np.full(len(values), np.nan), dict[int, str]()
        for rows, windows in self._windows(values, slots, counts, loud):
            named = [symbols[slot] for slot in slots[rows].tolist()]
            own[rows] = self._predict(windows, named, rows, faults)
        if not len(loud):
            return
        self.shadow.standing.add(predictions, own[loud])
        for row, symbol, time, offset, theirs, ours in zip(
            loud.tolist(), [symbols[slot] for slot in slots[loud].tolist()], times[loud].tolist(),
            offsets[loud].tolist(), predictions.tolist(), own[loud].tolist(), strict=True,
        ):  # fmt: skip
            self._said.append(
                ShadowPrediction(
                    self.shadow.strategy, symbol, time, _finite(theirs), _finite(ours), model, self.shadow.model_id,
                    offset, faults.get(row),
                )
            )  # fmt: skip

    def take(self) -> list[ShadowPrediction]:
        """What it said since the last call."""
        said, self._said = self._said, []
        return said

    def _windows(
        self, values: FloatArray, slots: IntArray, counts: IntArray, loud: IntArray
    ) -> Iterable[tuple[IntArray, FloatArray]]:
        ring = self.shadow.ring
        if ring is None:
            warm = loud[counts[loud] > self.shadow.warmup]
            return [(warm, values[warm, np.newaxis])] if len(warm) else []
        first = self.states["first"]
        new = np.flatnonzero(first[slots] == 0)[::-1]
        first[slots[new]] = counts[new]  # the earliest row of a symbol comes last, and stays
        seen = counts[loud] - first[slots[loud]] + 1
        return ring.run(
            self.states, slots, counts, values,
            loud[(counts[loud] > self.shadow.warmup) & (seen >= ring.lookback)],
        )  # fmt: skip

    def _predict(self, windows: FloatArray, symbols: list[str], rows: IntArray, faults: dict[int, str]) -> FloatArray:
        """Where all fails, each row is asked alone: what is said of a row must not depend on the rows beside it."""
        try:
            return self.shadow.predict(windows.copy(), symbols)
        except Exception as error:  # foreign code, whatever it raises: the strategy goes on
            self._tell(error)
        found = np.full(len(windows), np.nan)
        for number, (row, symbol) in enumerate(zip(rows.tolist(), symbols, strict=True)):
            try:
                found[number] = self.shadow.predict(windows[number : number + 1].copy(), [symbol])[0]
            except Exception as error:
                self.shadow.standing.failures += 1
                faults[row] = type(error).__name__
        return found

    def _tell(self, error: Exception) -> None:
        standing, shadow = self.shadow.standing, self.shadow
        if standing.first_failure is None:
            standing.first_failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
            log.warning(
                "%s: its shadow %s failed, and the strategy goes on: %s; further failures are only counted",
                shadow.strategy, shadow.model_id.sha256[:12], standing.first_failure,
            )  # fmt: skip

    def copy(self, slots: IntArray) -> "ShadowStates | None":
        """The states of `slots` as they are now; None where there is nothing to keep."""
        return None if self.shadow.ring is None else ShadowStates(self.states[slots], self.layout)

    def restore(self, slot: int, stored: BesideState | None) -> None:
        """One symbol's state; where it is not there, damaged or another one's, the shadow begins anew."""
        if self.shadow.ring is None:
            return
        self.states[slot] = np.zeros((), self._dtype)
        if stored is None or stored.layout != self.layout:
            return
        if len(stored.payload) != self._dtype.itemsize or sha256_hex(stored.payload) != stored.sha256:
            log.warning("%s: a stored state of its shadow is damaged; it begins anew", self.shadow.strategy)
            return
        self.states[slot] = np.frombuffer(stored.payload, self._dtype)[0]


@dataclass(frozen=True)
class ShadowStates:
    """Copied states, each as it is stored."""

    states: Rows
    layout: str

    def __getitem__(self, row: int) -> BesideState:
        payload = self.states[row].tobytes()
        return BesideState(self.layout, sha256_hex(payload), payload)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
