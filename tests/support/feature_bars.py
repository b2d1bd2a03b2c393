"""Real bars, symbol by symbol, and bars of one price."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plugins.base.bars import COLUMNS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "examples" / "data"
SHARED = ROOT.parent / "shared" / "data"
FILES = ("equities_minute.parquet", "equities_daily.parquet")
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the full data set (../shared/data) is not here")


def frames(path: Path, least: int = 100) -> list[pd.DataFrame]:
    """Each symbol's bars without holes (pandas and TA-Lib treat holes in another way than we do)."""
    data = pd.read_parquet(path).dropna(subset=list(COLUMNS))
    found = [bars.set_index("timestamp")[list(COLUMNS)].astype(float) for _, bars in data.groupby("symbol")]
    return [bars for bars in found if len(bars) >= least]


def bars_in(folder: Path, least: int = 100) -> list[pd.DataFrame]:
    """The bars of all files in `folder`, one frame a symbol."""
    return [bars for name in FILES for bars in frames(folder / name, least)]


def flat(count: int, price: float = 100.1, volume: float = 7.0) -> pd.DataFrame:
    """`count` bars that never move."""
    return pd.DataFrame({name: np.full(count, volume if name == "volume" else price) for name in COLUMNS})
