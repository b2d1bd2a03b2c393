"""A strategy's shadow: a second model that predicts beside the one in force, and decides nothing.

It is given copies, and whatever it raises becomes a record without its prediction.
Its state, the last rows of a sequence model, is a part of its own in the strategy's snapshots.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plugins.base import BaseModel, FloatArray
from plugins.base.streaming import IntArray, Rows
from plugins.fold.row_ring import RowRing
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.pipeline.accepted_bars import FeatureRows
from plugins.pipeline.prediction.comparison import ShadowComparison, none_if_not_finite
from plugins.pipeline.prediction.model import Windows, single_rows
from plugins.strategy.parts import load_model, ring_of
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.requirements import Features
from schemas.canonical import sha256_hex
from schemas.configuration import Strategy
from schemas.wire import BesideState, Model, ShadowPrediction

log = logging.getLogger("alphawire.shadow")

STATELESS = np.dtype([("first", "i8")])


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
    comparison: ShadowComparison = field(default_factory=ShadowComparison, compare=False)

    def predict(self, windows: FloatArray, symbols: list[str]) -> FloatArray:
        """One prediction a window, exactly as a strategy's own model is asked; `ValueError` for another number."""
        columns = list(self.columns)
        if isinstance(self.model, PerSymbolModel):
            predictions = np.asarray(self.model.predict_symbols(symbols, windows, columns), np.float64)
        else:
            predictions = np.asarray(self.model.predict_windows(windows, columns), np.float64)
        if predictions.shape != (len(windows),):
            raise ValueError(f"{predictions.shape} predictions for {len(windows)} rows")
        return predictions


def ready_shadow(ready: ReadyStrategy, strategy: Strategy, base: Path = Path()) -> ReadyShadow | None:
    """The shadow that the configuration names for the strategy `ready`, certified like any model; None: none.

    Raises
    ------
    ConfigurationError, ArtifactError, PluginError
        As for a strategy's own model.
    """
    if strategy.shadow is None:
        return None
    own = strategy.model_copy(update={"model": strategy.shadow})
    model, model_id = load_model(ready.name, own, Features(ready.features), base, "shadow")
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


class ShadowRun:
    """A shadow on one partition: the last rows of each symbol, where its model looks back.

    The state's `first` is the number, among the symbol's bars, of the first row that the ring has seen: a shadow that
    joins later predicts from its first whole window on.
    """

    def __init__(self, shadow: ReadyShadow) -> None:
        self.shadow = shadow
        ring = shadow.ring
        self._dtype = np.dtype([*STATELESS.descr, ("rows", ring.state_dtype["rows"])]) if ring else STATELESS
        self.layout = ring.layout if ring else ""
        self.states: Rows = np.zeros(0, self._dtype)

    def grow(self, size: int) -> None:
        """Room for `size` symbols."""
        self.states = np.concatenate([self.states, np.zeros(size - len(self.states), self._dtype)])

    def save(self, slots: IntArray) -> Rows:
        """The states of `slots` as they are now, for `rewind`."""
        return self.states[slots]

    def rewind(self, slots: IntArray, saved: Rows) -> None:
        """Undoes what was fed since, except for what the comparison has counted."""
        self.states[slots] = saved

    def feed(
        self, features: FeatureRows, published: IntArray, predictions: FloatArray, model: Model | None
    ) -> list[ShadowPrediction]:
        """Sees all feature rows, and predicts beside the strategy.

        Parameters
        ----------
        published
            Numbers of the rows for which there are predictions to be published.
        predictions
            Those of the strategy for the published rows.
        model
            The model that made them.
        """
        own, faults = np.full(len(features), np.nan), dict[int, str]()
        for rows, windows in self._windows(features, published):
            own[rows] = self._predict(windows, features.accepted.names_at(rows), rows, faults)
        if not len(published):
            return []
        self.shadow.comparison.add(predictions, own[published])
        accepted, name, model_id = features.accepted, self.shadow.strategy, self.shadow.model_id
        return [
            ShadowPrediction(
                name, symbol, time, none_if_not_finite(theirs), none_if_not_finite(ours), model, model_id, offset,
                faults.get(row),
            )
            for row, symbol, time, offset, theirs, ours in zip(
                published.tolist(), accepted.names_at(published), accepted.times[published].tolist(),
                accepted.offsets[published].tolist(), predictions.tolist(), own[published].tolist(), strict=True,
            )
        ]  # fmt: skip

    def _windows(self, features: FeatureRows, published: IntArray) -> Windows:
        """Of the published rows that are warm, and whose window the ring has seen whole."""
        ring, slots, counts = self.shadow.ring, features.accepted.slots, features.counts
        warm = published[counts[published] > self.shadow.warmup]
        if ring is None:
            return single_rows(features, warm)
        first = self.states["first"]
        new = np.flatnonzero(first[slots] == 0)[::-1]
        first[slots[new]] = counts[new]  # the earliest row of a symbol comes last, and stays
        whole = counts[warm] - first[slots[warm]] + 1 >= ring.lookback
        return ring.run(self.states, slots, counts, features.values, warm[whole])

    def _predict(self, windows: FloatArray, symbols: list[str], rows: IntArray, faults: dict[int, str]) -> FloatArray:
        """Where all fails, each row is asked alone: the prediction of a row must not depend on the rows beside it."""
        try:
            return self.shadow.predict(windows.copy(), symbols)
        except Exception as error:  # foreign code, whatever it raises: the strategy goes on
            self._warn_once(error)
        predictions = np.full(len(windows), np.nan)
        for number, (row, symbol) in enumerate(zip(rows.tolist(), symbols, strict=True)):
            try:
                predictions[number] = self.shadow.predict(windows[number : number + 1].copy(), [symbol])[0]
            except Exception as error:
                self.shadow.comparison.failures += 1
                faults[row] = type(error).__name__
        return predictions

    def _warn_once(self, error: Exception) -> None:
        comparison, shadow = self.shadow.comparison, self.shadow
        if comparison.first_failure is None:
            comparison.first_failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
            log.warning(
                "%s: its shadow %s failed, and the strategy goes on: %s; further failures are only counted",
                shadow.strategy, shadow.model_id.sha256[:12], comparison.first_failure,
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
