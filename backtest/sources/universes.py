"""The universe, over frames of bars."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import times_of
from plugins.strategy.universe import Universe


def bars_of(universe: Universe, bars: pd.DataFrame, beside: Collection[str] = ()) -> pd.DataFrame:
    """The bars of symbols that are ever members: those before a membership warm its features up, as live; and those of
    references (`beside`).
    """
    ever = {symbol: symbol in beside or universe.ever(symbol) for symbol in bars["symbol"].unique()}
    return bars if all(ever.values()) else bars[bars["symbol"].map(ever).astype(bool)]


def members(universe: Universe, index: pd.MultiIndex) -> NDArray[np.bool_]:
    """Is the symbol a member at that time, for each row of `index` (symbol, time)?"""
    inside = np.ones(len(index), np.bool_)
    if universe.changes:
        symbols, times = index.get_level_values(0), times_of(index).tolist()
        inside[:] = [universe.member(symbol, time) for symbol, time in zip(symbols, times, strict=True)]
    return inside


def absent(universe: Universe, bars: pd.DataFrame) -> list[str]:
    """Symbols that the universe names and that have no bar."""
    return sorted((universe.symbols or frozenset()) - set(bars["symbol"].unique()))
