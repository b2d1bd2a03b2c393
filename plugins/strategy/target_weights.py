"""The execution contract, 2: what is decided becomes a target weight of equity."""

from typing import Any

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
    given = decisions.weight
    is_given = given == given
    if is_given.all() and not scaled:
        return given.astype(np.float64)
    units = np.fromiter(map(UNITS.__getitem__, decisions.signal), np.float64, len(given))
    with np.errstate(over="ignore", invalid="ignore"):
        targets: FloatArray = np.where(is_given, given, units) * weight
    if long_only:
        targets[targets < 0] = 0.0
    return targets if scaled else np.where(is_given, given, targets)


def none_if_nan(value: float) -> float | None:
    """The value as records hold it: None for what is undefined."""
    return value if value == value else None
