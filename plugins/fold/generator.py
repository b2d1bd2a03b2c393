"""Signal generators whose decision depends on earlier predictions of the symbol."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import BaseSignalGenerator, FloatArray, name_of
from plugins.base.bars import bars_from_frame
from plugins.base.streaming import slots_of
from plugins.fold import FoldFeature
from schemas.errors import PluginError


class FoldedSignalGenerator(BaseSignalGenerator):
    """A generator that is a fold over predictions and a rule for each row.

    Set `fold` in ``__init__`` to a `FoldFeature` that `requires` ``prediction`` (and feature columns, if it likes), and
    override `decide`, which finds the fold's columns beside the others. A worker steps the fold for every bar, also for
    those that it publishes nothing for, and keeps its state in the strategy's snapshots; `generate` steps it over a
    frame, so the two give the same bytes.
    """

    fold: FoldFeature

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.decide is BaseSignalGenerator.decide:
            return "a FoldedSignalGenerator needs `decide`; define decide(self, columns)"
        return super().class_fault()

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """`predictions` with the columns `signal`, `weight` and `reason`.

        The rows of a symbol go forward in time; index or columns name `symbol` and `time` (neither: one symbol, in the
        frame's order). Raises `PluginError` where they go back, and for a missing column.
        """
        needed = self.fold.requires
        if missing := [name for name in needed if name not in predictions]:
            raise PluginError(f"{name_of(self)}: there is no column {', '.join(missing)}; it needs {', '.join(needed)}")
        slots, count = self._symbols(predictions)
        outs = np.empty((len(predictions), len(self.fold.columns)))
        self.fold.run(self.fold.new_states(count), slots, bars_from_frame(predictions[list(needed)], needed), outs)
        columns: dict[str, FloatArray] = {
            str(name): predictions[name].to_numpy(np.float64, na_value=np.nan)
            for name in predictions
            if pd.api.types.is_numeric_dtype(predictions[name])
        }
        columns |= {name: outs[:, i] for i, name in enumerate(self.fold.columns)}
        decisions = self.decide(columns)
        return predictions.assign(signal=decisions.signal, weight=decisions.weight, reason=decisions.reason)

    def _symbols(self, predictions: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
        """Each row's symbol as a number, and how many there are; checks that none goes back in time."""
        index = predictions.index
        if not isinstance(index, pd.MultiIndex) and "symbol" in predictions:
            index = pd.MultiIndex.from_arrays([predictions["symbol"], np.arange(len(predictions))])
        slots, count = slots_of(index)
        if not len(predictions):
            return slots, count
        times = predictions["time"] if "time" in predictions else predictions.index.get_level_values(-1).to_series()
        if not times.reset_index(drop=True).groupby(slots).is_monotonic_increasing.all():
            raise PluginError(f"{name_of(self)}: the rows of a symbol go back in time; sort them by time")
        return slots, count
