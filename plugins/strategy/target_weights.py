"""The execution contract, 2: what is decided becomes a target weight of equity."""

from typing import Any

import numba
import numpy as np

from plugins.base import Decisions, FloatArray


class _Units(dict[Any, float]):
    def __missing__(self, signal: Any) -> float:
        """A number is its own unit."""
        return signal if isinstance(signal, float) else np.nan


UNITS = _Units(BUY=1.0, SELL=-1.0, FLAT=0.0, HOLD=np.nan)


def target_weights(decisions: Decisions, scaled: bool, weight: float, long_only: bool) -> FloatArray:
    """One target weight a decision, as a fraction of equity; NaN keeps the position.

    A weight that the generator gave is used as it is, unless it is a unit that is to be `scaled`; BUY and SELL without
    one, numbers and units are multiplied by `weight`, and negative ones are 0 when `long_only`.

    >>> decisions = Decisions(["BUY", "SELL", "HOLD"], np.full(3, np.nan), [""] * 3)
    >>> target_weights(decisions, scaled=False, weight=0.1, long_only=True)
    array([0.1, 0. , nan])
    """
    targets = np.array(decisions.weight, np.float64)
    units = np.fromiter(map(UNITS.__getitem__, decisions.signal), np.float64, len(targets))
    _weigh(targets, units, scaled, float(weight), long_only)
    return targets


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _weigh(targets: Any, units: Any, scaled: bool, weight: float, long_only: bool) -> None:
    for i in range(len(targets)):
        given = targets[i] == targets[i]
        if given and not scaled:
            continue
        target = (targets[i] if given else units[i]) * weight
        targets[i] = 0.0 if long_only and target < 0.0 else target


def none_if_nan(value: float) -> float | None:
    """The value as records hold it: None for what is undefined."""
    return value if value == value else None
