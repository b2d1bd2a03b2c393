"""Rows of features and targets, as a strategy's training has them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sources.news import NewsOf
from backtest.sources.universes import bars_of, members
from backtest.training.targets import last_return, targets_of
from plugins.base.bars import COLUMNS, times_of
from plugins.pipeline.frames import FeatureBlock, bar_index, feature_blocks, fill
from plugins.strategy.features import features_of
from plugins.strategy.parts import model_columns
from plugins.strategy.universe import universe_of
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from schemas.scratch import BLOCK, gathered, let_go, rows_in, scratch

MIN_ROWS = 50
"""Fewer rows to train on are taken for a mistake."""
AT_ONCE = 500_000
"""Rows whose targets are computed together, and those of the last symbol among them."""

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

    @property
    def places(self) -> dict[str, NDArray[np.int64]]:
        """The numbers of each symbol's rows, in their order."""
        return rows_by(*self._numbered)

    @property
    def names(self) -> list[str]:
        """The symbols that have rows."""
        codes, names = self._numbered
        return sorted(map(str, names[np.unique(codes)]))

    def of(self, symbol: str) -> "Samples":
        """The rows of one symbol."""
        codes, names = self._numbered
        return self.where(codes == (names.get_loc(symbol) if symbol in names else -1))

    @property
    def _numbered(self) -> tuple[NDArray[Any], pd.Index]:
        """Each row's symbol by its number, and the symbols by these."""
        index = self.X.index
        assert isinstance(index, pd.MultiIndex)
        return np.asarray(index.codes[0]), index.levels[0]

    def where(self, mask: Mask) -> "Samples":
        rows = rows_in(mask)
        index = self.X.index[rows]
        X = _frame(gathered(self.X.to_numpy(np.float64), rows), index, self.X.columns)  # noqa: N806
        y, known, last_return = (_column(each, rows, index) for each in (self.y, self.known, self.last_return))
        return Samples(X, y, known, last_return, self.dropped)

    def only(self, columns: Sequence[str]) -> "Samples":
        """The same rows of these columns."""
        if len(columns) == self.X.shape[1]:
            return self
        places = self.X.columns.get_indexer(pd.Index(columns)).tolist()
        values = gathered(self.X.to_numpy(np.float64), slice(None), places)
        return replace(self, X=_frame(values, self.X.index, pd.Index(columns)))

    @property
    def known_columns(self) -> list[str]:
        """Columns that have a value in some row: of the others there is nothing to learn."""
        values, known = self.X.to_numpy(np.float64), np.zeros(self.X.shape[1], np.bool_)
        for first in range(0, len(values), BLOCK):
            known |= ~np.isnan(values[first : first + BLOCK]).all(axis=0)
            if known.all():
                break
        return [str(column) for column in self.X.columns[known]]


def _frame(values: NDArray[np.float64], index: pd.Index, columns: pd.Index) -> pd.DataFrame:
    return pd.DataFrame(values, index, columns, copy=False)


def _column(series: "pd.Series[Any]", rows: NDArray[np.int64] | slice, index: pd.Index) -> "pd.Series[Any]":
    return pd.Series(gathered(series.to_numpy(), rows), index, name=series.name, copy=False)


def rows_by(codes: NDArray[Any], names: pd.Index) -> dict[str, NDArray[np.int64]]:
    """The numbers of the rows of each name, in their order, by the codes of the names; by the order of names."""
    order, counts = np.argsort(codes, kind="stable"), np.bincount(codes, minlength=len(names))
    parts = dict(zip(map(str, names), np.split(order, np.cumsum(counts)[:-1]), strict=True))
    return {name: parts[name] for name in sorted(parts) if len(parts[name])}


def make_samples(
    name: str, strategy: Strategy, bars: pd.DataFrame, start: int | None = None, news: NewsOf | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Samples:  # fmt: skip
    """Features and targets of all bars that have both, in time order, then by symbol. Without `news`, what uses it is
    unknown. `progress` is told how many bars are done, and how many there are.

    A row is left out, and counted, while its symbol warms up, where the target is not known yet, and where it reaches
    across a gap in the data. So is one of a
    symbol that is no member of the universe at that time, uncounted.

    Features are computed block by block and targets some symbols at a time, into arrays that need not fit into memory
    (`schemas.scratch`).
    """
    computed = _computed(name, strategy, bars, news, progress)
    outcomes = _outcomes(name, strategy, bars, computed)
    asked = outcomes.member if start is None else outcomes.member & (computed.times >= start)
    finite, across = np.isfinite(outcomes.target), outcomes.across
    dropped = {
        "warming_up": int((asked & ~computed.warm).sum()),
        "without_target": int((asked & computed.warm & ~finite & ~across).sum()),
    }
    if reaching := int((asked & computed.warm & across).sum()):
        dropped["across_gaps"] = reaching
    rows, index = _in_time(computed, np.flatnonzero(asked & computed.warm & finite))
    X = _frame(gathered(computed.values, rows), index, pd.Index(computed.columns))  # noqa: N806
    y, known, baseline = (
        pd.Series(gathered(values, rows), index, name=label, copy=False)
        for label, values in (
            (strategy.training.target, outcomes.target), ("known", outcomes.known), ("last_return", outcomes.baseline)
        )
    )  # fmt: skip
    return Samples(X, y, known, baseline, dropped).only(model_columns(name, strategy, computed.columns))


@dataclass(frozen=True)
class _Computed:
    """The features of a frame's bars: row i of every array belongs to bar ``rows[i]`` of the frame."""

    columns: list[str]
    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    warm: Mask
    times: NDArray[np.int64]
    codes: NDArray[np.int32]
    symbols: pd.Index


def _computed(
    name: str, strategy: Strategy, bars: pd.DataFrame, news: NewsOf | None, progress: Callable[[int, int], None]
) -> _Computed:
    count, done, values = len(bars), 0, np.empty((0, 0))
    rows, warm = scratch((count,), np.int64), np.zeros(count, np.bool_)
    for block in feature_blocks(name, strategy, bars, news(bars) if news else None):
        columns = block.columns
        if not done:
            values = scratch((count, len(columns)))
        part = slice(done, done + len(block.rows))
        rows[part], values[part], warm[part] = block.rows, block.values, ~np.isnan(block.values).all(axis=1)
        done = part.stop
        let_go(values)
        progress(int(block.rows[-1]) + 1 if len(block.rows) else done, count)
    rows = rows[:done]
    fill(name, strategy, bars, FeatureBlock(rows, values[:done], warm[:done], columns))
    codes, symbols = pd.factorize(bars["symbol"])
    times = gathered(bars["close_time"].to_numpy(np.int64), rows)
    return _Computed(columns, rows, values[:done], warm[:done], times, codes.astype(np.int32)[rows], symbols)


@dataclass(frozen=True)
class _Outcomes:
    """Of each row: the target, when it is known, whether it reaches across a gap, what the baseline predicts, and
    whether the symbol was a member of the universe.
    """

    target: NDArray[np.float64]
    known: NDArray[np.int64]
    across: Mask
    baseline: NDArray[np.float64]
    member: Mask


def _outcomes(name: str, strategy: Strategy, bars: pd.DataFrame, computed: _Computed) -> _Outcomes:
    count = len(computed.rows)
    target, known, baseline = scratch((count,)), scratch((count,), np.int64), scratch((count,))
    across, member = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    universe = universe_of(name, strategy)
    for places in _some_symbols(computed):
        part = bars.iloc[computed.rows[places]]
        index = bar_index(part, np.arange(len(part)))
        (of_part, known_at), across[places] = targets_of(part, index, strategy)
        target[places], known[places] = of_part.to_numpy(), known_at.to_numpy()
        baseline[places] = last_return(part, index, strategy.training).to_numpy()
        member[places] = members(universe, index)
        let_go(target, known, baseline)
    return _Outcomes(target, known, across, baseline, member)


def _some_symbols(computed: _Computed) -> Iterator[NDArray[np.int64]]:
    """The rows of some symbols at a time, in their order: a target depends on the bars of its symbol alone."""
    waiting: list[NDArray[np.int64]] = []
    for places in rows_by(computed.codes, computed.symbols).values():
        waiting.append(places)
        if sum(map(len, waiting)) >= AT_ONCE:
            yield np.sort(np.concatenate(waiting))
            waiting = []
    if waiting:
        yield np.sort(np.concatenate(waiting))


def _in_time(computed: _Computed, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64] | slice, pd.MultiIndex]:
    """The rows in order of time, then of symbols, and their index."""
    names = pd.Index(sorted(map(str, computed.symbols)))
    codes = names.get_indexer(pd.Index(list(map(str, computed.symbols)))).astype(np.int32)[computed.codes[rows]]
    times = computed.times[rows]
    if len(rows) and not ((times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (codes[1:] > codes[:-1]))).all():
        order = np.lexsort((codes, times))
        rows, codes, times = rows[order], codes[order], times[order]
    grid, places = np.unique(times, return_inverse=True)
    levels: Any = [names, pd.DatetimeIndex(grid.astype("datetime64[ms]"), tz="UTC")]
    numbers: Any = [codes, places]
    return rows, pd.MultiIndex(levels, numbers, names=["symbol", "time"], verify_integrity=False)


def select(name: str, strategy: Strategy, bars: pd.DataFrame, end: int | None) -> pd.DataFrame:
    """The universe's bars that close before `end`, and those that stand beside them."""
    universe = universe_of(name, strategy)
    mine = bars_of(universe, bars)
    if len(bars) and not len(mine):
        asked = few(sorted(universe.symbols)) if universe.symbols else universe.rule.match
        raise ConfigurationError(
            f"strategies.{name}: none of its universe ({asked}) is in the bars, which are of "
            f"{few(sorted(set(bars['symbol'])))}"
        )
    if beside := features_of(name, strategy).beside:
        mine = bars_of(universe, bars, beside)
    if end is not None:
        mine = mine.iloc[rows_in(mine["close_time"].to_numpy() < end)]
    if not len(mine):
        raise ConfigurationError(f"strategies.{name}: there are no bars to train on; {_range(bars)}")
    return mine.reset_index(drop=True)  # shares the columns


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
        features = features_of(name, strategy).columns_by_feature()
        columns = [own for own in features if known.isdisjoint(own)]
        if empty := [column for own in columns for column in own if column in samples.X]:
            fault = f"the columns {few(empty)} are NaN in all {len(samples.y)} rows; leave out their features"
    if fault:
        raise ConfigurationError(f"strategies.{name}: {fault}")


def data_sha256(bars: pd.DataFrame, until: int | None = None) -> str:
    """SHA-256 of the bars, without those that open after `until` (ms): for each symbol, in the order of names, its
    name, a zero byte, close times (int64, ms) and open, high, low, close, volume (float64), column after column,
    little-endian, in the bars' order.
    """
    digest = hashlib.sha256()
    times, opened = bars["close_time"].to_numpy(np.int64), bars["open_time"].to_numpy() if until is not None else None
    for symbol, places in rows_by(*pd.factorize(bars["symbol"])).items():
        rows = places if opened is None else places[opened[places] <= until]
        if not len(rows):
            continue
        digest.update(symbol.encode() + b"\0")
        digest.update(times[rows].astype("<i8").tobytes())
        for name in COLUMNS:
            digest.update(bars[name].to_numpy(np.float64)[rows].astype("<f8").tobytes())
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
