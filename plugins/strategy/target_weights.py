"""The execution contract, 2: what is decided becomes a target weight of equity."""

from plugins.base import Decisions

UNITS = {"BUY": 1.0, "SELL": -1.0, "FLAT": 0.0}


def target_weights(decisions: Decisions, scaled: bool, weight: float, long_only: bool) -> list[float | None]:
    """One target weight a decision, as a fraction of equity; None keeps the position.

    A weight that the generator gave is used as it is, unless it is a unit that is to be `scaled`; BUY and SELL without
    one, numbers and units are multiplied by `weight`, and negative ones are 0 when `long_only`.

    >>> import numpy as np
    >>> decisions = Decisions(["BUY", "SELL", "HOLD"], np.full(3, np.nan), [""] * 3)
    >>> target_weights(decisions, scaled=False, weight=0.1, long_only=True)
    [0.1, 0.0, None]
    """
    weights: list[float | None] = []
    for signal, given in zip(decisions.signal, decisions.weight.tolist(), strict=True):
        if given == given and not scaled:
            weights.append(given)
            continue
        unit = given if given == given else UNITS.get(signal, signal) if isinstance(signal, str) else signal
        target = none_if_nan(unit * weight) if isinstance(unit, float) else None
        weights.append(0.0 if target is not None and target < 0 and long_only else target)
    return weights


def none_if_nan(value: float) -> float | None:
    """The value as records hold it: None for what is undefined."""
    return value if value == value else None
