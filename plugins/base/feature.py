"""The contract of a feature."""

from typing import Any, ClassVar

import pandas as pd

from plugins.base.plugin import Plugin


class BaseFeature(Plugin):
    """Turns bars into columns."""

    outputs: ClassVar[tuple[str, ...] | None] = None
    """Names of its columns; None: whatever `compute` returns (a worker finds out by a trial)."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Columns of other features that it reads beside the bar's own, by the names that those plugins give them. The
    pipeline runs those first, and `compute` finds them in its data.
    """
    labels: ClassVar[dict[str, dict[int, str]]] = {}
    """What the numbers in a column stand for: ``{"volatility_regime": {0: "low", 1: "mid", 2: "high"}}``."""
    calendar: ClassVar[str | None] = None
    """Digest of a calendar that its values depend on beside its parameters; an instance may set its own. It is a part
    of a strategy's configuration hash.
    """
    lookback: ClassVar[int | None] = None
    """Bars (rows) that a value depends on, for a plugin that has only `compute`; an instance may set its own from
    its parameters.
    """

    @classmethod
    def class_fault(cls) -> str | None:
        if cls.compute is BaseFeature.compute:
            return "it overrides neither `compute` nor, as a FoldFeature, `step`; define compute(self, data)"
        if isinstance(cls.lookback, int | float | str) and (type(cls.lookback) is not int or cls.lookback < 1):
            return f"lookback = {cls.lookback!r} is not a number of bars; write a whole number from 1 on"
        if cls.outputs is not None and not isinstance(cls.outputs, property) and not _are_names(cls.outputs):
            return f"outputs = {cls.outputs!r} is not a tuple of column names; write outputs = ('rsi',)"
        if not isinstance(cls.requires, property) and cls.requires != () and not _are_names(cls.requires):
            return f"requires = {cls.requires!r} is not a tuple of column names; write requires = ('rsi',)"
        return super().class_fault()

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Columns for `data` (open, high, low, close, volume), with `data`'s index; a row uses itself and earlier
        rows only.
        """
        raise NotImplementedError


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(name, str) and name for name in value)
        and len(set(value)) == len(value)
    )
