"""Plugins that fail on some values while they are `broken`."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from plugins.base import BaseModel, BaseSignalGenerator, Decisions, FloatArray
from plugins.features import BaseFeature
from plugins.signals.ranking import Ranking

BEGIN = pd.Timestamp(1_380_000_000_000, unit="ms", tz="UTC")


class Mood:
    """How those below are today."""

    broken: ClassVar[bool] = False

    @classmethod
    def check(cls, excess: Any) -> None:
        if cls.broken and (np.asarray(excess) > 0).any():
            raise LookupError("that is too\nmuch")


class MoodyModel(BaseModel):
    key, batch_invariant = "test.moody", True

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        Mood.check(rows[:, 0] - 57)
        return rows[:, 0] * 2


class MoodySignal(BaseSignalGenerator):
    key = "test.moody"

    def decide(self, columns: Any) -> Decisions:
        Mood.check(columns["rsi"] - 57)
        count = len(columns["rsi"])
        return Decisions(["BUY"] * count, np.full(count, np.nan), [""] * count)


class MoodyFeature(BaseFeature):
    """The close."""

    lookback = 2

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        Mood.check((data.index[-1] - BEGIN).total_seconds() - 2400)
        return data[["close"]].rename(columns={"close": "moody"})


class MoodyRanking(Ranking):
    def decide_section(self, predictions: FloatArray) -> Decisions:
        Mood.check(predictions - 0.6)
        return super().decide_section(predictions)
