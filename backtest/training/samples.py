"""Rows of features and targets, as a strategy's training has them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sources.news import NewsOf
from backtest.sources.universes import bars_of, members
from backtest.training.targets import last_return, targets_of
from plugins.base.bars import COLUMNS, times_of
from plugins.pipeline.frames import feature_frame
from plugins.strategy.features import features_of
from plugins.strategy.universe import universe_of
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError

MIN_ROWS = 50
"""Fewer rows to train on are taken for a mistake."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Samples:
    """Rows of features and targets in time order, then by symbol.

    Attributes
    ----------
    known
        When a row's target is known (ms).
    last_return
        What the baseline of that name predicts.
    """

    X: pd.DataFrame
    y: "pd.Series[float]"
    known: "pd.Series[int]"
    last_return: "pd.Series[float]"
    dropped: dict[str, int]

    @property
    def times(self) -> NDArray[np.int64]:
        """When a row's prediction is made: the close of its bar (ms)."""
        return times_of(self.X.index)

    @property
    def symbols(self) -> NDArray[np.str_]:
        return self.X.index.get_level_values(0).to_numpy().astype(str)

    def where(self, mask: Mask) -> "Samples":
        return Samples(self.X[mask], self.y[mask], self.known[mask], self.last_return[mask], self.dropped)

    def only(self, columns: Sequence[str]) -> "Samples":
        """The same rows of these columns."""
        return self if len(columns) == self.X.shape[1] else replace(self, X=self.X[list(columns)])

    @property
    def known_columns(self) -> list[str]:
        """Columns that have a value in some row: of the others there is nothing to learn."""
        return [str(column) for column in self.X.columns[self.X.notna().any(axis=0)]]


def make_samples(
    name: str, strategy: Strategy, bars: pd.DataFrame, start: int | None = None, news: NewsOf | None = None
) -> Samples:
    """Features and targets of all bars that have both, in time order, then by symbol. Without `news`, what uses it is
    unknown.

    A row is left out, and counted, while its symbol warms up, where the target is not known yet, and where it reaches
    across a gap in the data. So is one of a
    symbol that is no member of the universe at that time, uncounted.
    """
    features = feature_frame(name, strategy, bars, news(bars) if news else None)
    assert isinstance(features.index, pd.MultiIndex)
    (target, known), across = targets_of(bars, features.index, strategy)
    baseline = last_return(bars, features.index, strategy.training)
    times = times_of(features.index)
    member = members(universe_of(name, strategy), features.index)
    asked = member if start is None else member & (times >= start)
    warm = features.notna().any(axis=1).to_numpy()
    finite = np.isfinite(target.to_numpy())
    dropped = {
        "warming_up": int((asked & ~warm).sum()),
        "without_target": int((asked & warm & ~finite & ~across).sum()),
    }
    if reaching := int((asked & warm & across).sum()):
        dropped["across_gaps"] = reaching
    rows = np.flatnonzero(asked & warm & finite)
    symbols = features.index.get_level_values(0).to_numpy()[rows].astype(str)
    rows = rows[np.lexsort((symbols, times[rows]))]
    return Samples(features.iloc[rows], target.iloc[rows], known.iloc[rows], baseline.iloc[rows], dropped)


def select(name: str, strategy: Strategy, bars: pd.DataFrame, end: int | None) -> pd.DataFrame:
    """The universe's bars that close before `end`."""
    universe = universe_of(name, strategy)
    mine = bars_of(universe, bars)
    if len(bars) and not len(mine):
        asked = few(sorted(universe.symbols)) if universe.symbols else universe.rule.match
        raise ConfigurationError(
            f"strategies.{name}: none of its universe ({asked}) is in the bars, which are of "
            f"{few(sorted(set(bars['symbol'])))}"
        )
    if end is not None:
        mine = mine[mine["close_time"].to_numpy() < end]
    if not len(mine):
        raise ConfigurationError(f"strategies.{name}: there are no bars to train on; {_range(bars)}")
    return mine.reset_index(drop=True)


def unlearnable(strategy: Strategy, samples: Samples) -> str | None:
    """Why nothing can be learned from `samples`, in words that end a sentence; None when something can."""
    if len(samples.y) < MIN_ROWS:
        return f"{len(samples.y)} rows to train on, at least {MIN_ROWS} are needed"
    if samples.y.min() == samples.y.max():
        return (
            f"the {strategy.training.target} is {samples.y.iloc[0]:g} in all {len(samples.y)} rows: there is nothing "
            "to learn; give bars whose prices move"
        )
    return None


def check_learnable(name: str, strategy: Strategy, samples: Samples) -> None:
    """Raises `ConfigurationError` where nothing can be learned, or a feature knows nothing: of a set of columns
    some may be NaN in all rows.
    """
    fault = unlearnable(strategy, samples)
    if fault and len(samples.y) < MIN_ROWS:
        warming_up, open_ended = samples.dropped["warming_up"], samples.dropped["without_target"]
        across = samples.dropped.get("across_gaps", 0)
        reach = f", and the targets of {across} reach across gaps in the data" if across else ""
        fault += (
            f" (besides, {warming_up} bars warm the features up, and {open_ended} are too late to have a "
            f"target{reach}); give more bars"
        )
    known = set(samples.known_columns)
    if not fault and len(known) < samples.X.shape[1]:
        columns = [bound.columns for bound in features_of(name, strategy) if known.isdisjoint(bound.columns)]
        if empty := [column for own in columns for column in own if column in samples.X]:
            fault = f"the columns {few(empty)} are NaN in all {len(samples.y)} rows; leave out their features"
    if fault:
        raise ConfigurationError(f"strategies.{name}: {fault}")


def data_sha256(bars: pd.DataFrame) -> str:
    """SHA-256 of the bars: for each symbol, in the order of names, its name, a zero byte, close times (int64, ms) and
    open, high, low, close, volume (float64), column after column, little-endian, in the bars' order.
    """
    digest = hashlib.sha256()
    for symbol, part in sorted(bars.groupby("symbol", sort=False), key=lambda pair: str(pair[0])):
        digest.update(str(symbol).encode() + b"\0")
        digest.update(part["close_time"].to_numpy(np.int64).astype("<i8").tobytes())
        for name in COLUMNS:
            digest.update(part[name].to_numpy(np.float64).astype("<f8").tobytes())
    return digest.hexdigest()


def few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _range(bars: pd.DataFrame) -> str:
    if not len(bars):
        return "none were given"
    first, last = (
        pd.Timestamp(int(t), unit="ms", tz="UTC").isoformat() for t in bars["close_time"].agg(["min", "max"])
    )
    return f"those given close from {first} to {last}"
