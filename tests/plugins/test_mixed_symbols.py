"""Frames with several symbols: each is folded alone, or the frame is refused; none runs into another in silence."""

import numpy as np
import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.base.bars import COLUMNS, frame_from_bars
from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.fold.windowed import batch
from schemas.errors import PluginError


def two() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars of two symbols at the same times; the second is ten times as high."""
    first = frame_from_bars(trial_bars(60))
    second = first.copy()
    second[["open", "high", "low", "close"]] = first[["open", "high", "low", "close"]].to_numpy()[::-1] * 10.0
    return first, second


class Mean(BaseFeature):
    key, outputs, lookback = "test.mean", ("mean",), 5

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return data["close"].rolling(5).mean().to_frame("mean")


FEATURES = [feature_registry.create("technical.rsi", period=5), feature_registry.create("statistical.z_score"), Mean()]


def column(feature: BaseFeature, data: pd.DataFrame) -> np.ndarray:
    return batch(feature, data).iloc[:, 0].to_numpy()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: str(feature.key))
def test_every_way_to_name_the_symbols(feature: BaseFeature) -> None:
    first, second = two()
    alone = {"A": column(feature, first), "B": column(feature, second)}
    by_time = pd.concat([first.assign(symbol="A"), second.assign(symbol="B")]).sort_index(kind="stable")
    frames = {
        "a column, by time": by_time,
        "a column, one after the other": pd.concat([first.assign(symbol="A"), second.assign(symbol="B")]),
        "a category": by_time.assign(symbol=by_time["symbol"].astype("category")),
        "a column, rows numbered": by_time.reset_index(drop=True),
        "an index (symbol, time)": by_time.set_index("symbol", append=True).swaplevel(),
        "an index (time, symbol)": by_time.set_index("symbol", append=True),
        "an index (time, symbol) without names": by_time.set_index("symbol", append=True).rename_axis([None, None]),
    }
    for how, data in frames.items():
        symbols = data["symbol"] if "symbol" in data else by_time["symbol"]
        found = column(feature, data[[*COLUMNS, *(["symbol"] if "symbol" in data else [])]])
        for symbol, expected in alone.items():
            assert found[(symbols == symbol).to_numpy()].tobytes() == expected.tobytes(), how


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: str(feature.key))
def test_symbols_that_are_not_named_are_refused(feature: BaseFeature) -> None:
    first, second = two()
    for data in (
        pd.concat([first, second]).sort_index(kind="stable"),
        pd.concat([first, second]),
        first.iloc[::-1],
        pd.concat([first.iloc[:10], first.iloc[9:]]),
        pd.concat([first, first]).assign(symbol="A"),
    ):
        with pytest.raises(PluginError, match=r"the times of a symbol repeat or go back; sort the frame, and name its"):
            batch(feature, data)


def test_rows_without_times_and_one_symbol_are_as_they_were() -> None:
    first, _ = two()
    expected = column(FEATURES[0], first)
    for data in (first.reset_index(drop=True), first.tz_localize(None), first.assign(symbol="A")):
        assert column(FEATURES[0], data).tobytes() == expected.tobytes()
