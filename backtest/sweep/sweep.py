"""A grid of parameters through an engine, point by point, on joblib's backends; the folder: `backtest.sweep.folder`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from backtest.engines.backtest import check_engines
from backtest.replay.shared_features import groups, signals_of
from backtest.sources.bars import file_steps
from backtest.sources.news import NewsOf, news_sha256
from backtest.sources.universes import bars_of
from backtest.sweep.folder import SweepFolder
from backtest.sweep.grid import Values, as_options, points, strategy_at
from backtest.sweep.measuring import Engine, run_point
from backtest.sweep.points import Point, Sweep, Task
from backtest.sweep.walk_forward import walk_forward
from backtest.sweep.workers import run_on
from backtest.trials.overfitting import backtest_overfitting
from backtest.trials.trials import Ledger, Trial, judged, length_of, trial
from plugins.base.bars import COLUMNS
from plugins.base.loading.discovery import file_of
from plugins.engines import engine_registry
from plugins.side_inputs.news.join import NewsJoin
from plugins.strategy.features import features_of
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from plugins.strategy.universe import Universe, universe_of
from schemas.canonical import canonical_json, sha256_hex
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError, ConfigurationError
from schemas.wire import bar_length
from streams.ingest.bar_files import during, select_bars


class Retraining(Protocol):
    """Trains the model of a point for stretches of time: `backtest.training.retraining`."""

    @property
    def identity(self) -> list[int]: ...

    def planned(self, name: str, strategy: Strategy) -> ReadyStrategy: ...

    def schedule(self, strategy: Strategy, planned: ReadyStrategy) -> list[tuple[int, ReadyStrategy]]: ...


def sweep(
    config: Config,
    name: str,
    bars: pd.DataFrame,
    grid: dict[str, list[Any]],
    out: Path,
    *,
    engine: str = "ledger",
    per_symbol: bool = False,
    start: int | None = None,
    retraining: Retraining | None = None,
    windows: int = 0,
    backend: str = "loky",
    address: str | None = None,
    jobs: int = -1,
    news: NewsOf | None = None,
    ledger: Ledger | None = None,
    progress: Callable[[int], None] | None = None,
) -> Sweep:
    """Runs every point of the grid and writes the folder `out`; the points that are there already are not run again.

    Parameters
    ----------
    per_symbol
        Each symbol alone, with the whole capital, at each point.
    start
        Trades bars that close at this time (ms) or later; earlier ones warm the features up, as live.
    retraining
        Trains the model anew at each point, for stretches of time; None: the artifact's model, which must have been
        trained on what the point says.
    windows
        Cut the time into so many parts: the best point of each is tried on the next (walk-forward).
    backend, address, jobs
        ``loky`` (processes here), ``threading``, ``dask`` or ``ray`` (a cluster at `address`); `jobs` of joblib.
    news
        Of the bars; None: what uses news is unknown.
    """
    check_engines([engine])
    strategy = config.strategy(name)
    universe = universe_of(name, strategy)
    traded = select_bars(bars_of(universe, bars), start=start).reset_index(drop=True)
    bars = bars_of(universe, bars, features_of(name, strategy).beside).reset_index(drop=True)
    if not len(traded):
        raise ConfigurationError("there are no bars in this range; look at --from, --to and the strategy's universe")
    todo, strategies = _planned(name, strategy, traded, grid, per_symbol, retraining)
    join = news(bars) if news else None
    how = [[point.config_hash for point in todo], start, *(retraining.identity if retraining else [])]
    identity = _identity(strategy, universe, grid, engine, bars, per_symbol, join, how)
    folder = SweepFolder(out, identity)
    done, length = folder.finished(), length_of(strategy.interval)
    if progress:
        progress(len(done))
    waiting = [point for point in todo if point.number not in done]
    signals = _Signals(name, strategies, bars, start, join, retraining)
    run = partial(run_point, Engine(engine, file_of(engine_registry.get(engine)), identity))
    for point in run_on(backend, address, jobs, run, traded, signals.tasks(waiting)):
        folder.append([point])
        if ledger:
            ledger.add([_trial(name, point, length)])
        done[point.number] = point
        if progress:
            progress(1)
    result = _judge(
        name, [done[point.number] for point in todo], ledger, windows, traded, length, len(todo) - len(waiting)
    )
    folder.write(name, engine, grid, result)
    return result


def _planned(
    name: str,
    strategy: Strategy,
    bars: pd.DataFrame,
    grid: dict[str, list[Any]],
    per_symbol: bool,
    retraining: Retraining | None,
) -> tuple[list[Point], list[Strategy]]:
    """The points, numbered, each with its strategy; a fault of one is reported before any runs."""
    symbols: list[str | None] = [None]
    if per_symbol:
        there = sorted(bars["symbol"].unique())
        symbols = list(there)
    todo: list[Point] = []
    strategies = []
    for values in points(grid):
        at = strategy_at(strategy, values)
        ready = _ready(name, at, values, retraining)
        if per_symbol and ready.at_once:
            key = ready.generator.key if ready.generator.cross_section else ready.section[0].plugin.key
            raise ConfigurationError(f"{key} decides on all symbols at once; leave out --per-symbol")
        for symbol in symbols:
            todo.append(Point(len(todo), values, ready.config_hash, symbol))
            strategies.append(at)
    return todo, strategies


def _ready(name: str, strategy: Strategy, values: Values, retraining: Retraining | None) -> ReadyStrategy:
    """A point's strategy; its model is the artifact's only where that was trained on what the point says."""
    if retraining is not None:
        return retraining.planned(name, strategy)
    try:
        return ready_strategy(name, strategy)
    except ArtifactError as error:
        raise ArtifactError(f"{as_options(values)}: {error}; --retrain trains at each point") from None


@dataclass(frozen=True)
class _Signals:
    """Where the signals of the points come from: all `bars` are folded, and those from `start` on are traded."""

    name: str
    strategies: Sequence[Strategy]
    bars: pd.DataFrame
    start: int | None
    news: NewsJoin | None
    retraining: Retraining | None

    def tasks(self, waiting: Sequence[Point]) -> Iterator[Task]:
        """The features are computed here, once for all points that share them."""
        ready = [
            _ready(self.name, self.strategies[point.number], point.parameters, self.retraining) for point in waiting
        ]
        for numbers in groups(ready):
            points, members = [waiting[number] for number in numbers], [ready[number] for number in numbers]
            for point, signals in zip(points, self._of(points, members), strict=True):
                yield point, self.strategies[point.number], point.mine(signals)

    def _of(self, points: Sequence[Point], members: Sequence[ReadyStrategy]) -> Iterator[pd.DataFrame]:
        """The signals of points that are alike."""
        retraining = self.retraining
        schedules = [
            retraining.schedule(self.strategies[point.number], one)
            for point, one in zip(points, members, strict=True)
            if retraining is not None
        ]
        for signals in signals_of(members, file_steps(self.bars, members[0].interval), self.news, schedules):
            yield signals[during(signals["time"], self.start, None)]


def _judge(
    name: str,
    points: list[Point],
    ledger: Ledger | None,
    windows: int,
    bars: pd.DataFrame,
    length: int | str,
    resumed: int,
) -> Sweep:
    best = max(points, key=lambda point: (point.sharpe, -point.number))
    same = len({(len(point.returns), point.times) for point in points}) == 1
    matrix = np.column_stack([point.returns for point in points]) if same else np.zeros((0, 0))
    chance = backtest_overfitting(matrix) if same else None
    trials = ledger.of(name) if ledger else [_trial(name, point, length) for point in points]
    trials.sort(key=lambda one: repr((one.what, one.sharpe)))  # points end in any order, which sums would show
    if windows and not same:
        raise ConfigurationError("walk-forward compares points over the same bars; leave out --per-symbol")
    times = np.unique(bars["close_time"].to_numpy(np.int64))[1:]
    parts = walk_forward(matrix, times, windows) if windows else []
    return Sweep(points, best, judged(best.returns, trials, chance, length), parts, resumed)


def _trial(name: str, point: Point, length: int | str) -> Trial:
    parameters = point.parameters | ({"symbol": point.symbol} if point.symbol else {})
    hashed = point.config_hash + (f"/{point.symbol}" if point.symbol else "")
    return trial(name, "sweep", hashed, point.returns, point.times, parameters, length)


def _identity(
    strategy: Strategy,
    universe: Universe,
    grid: Any,
    engine: str,
    bars: pd.DataFrame,
    per_symbol: bool,
    news: NewsJoin | None,
    how: Sequence[Any],
) -> str:
    """What must be the same for finished points to count."""
    rows = pd.util.hash_pandas_object(bars[["symbol", "close_time", *COLUMNS]], index=False)
    data = sha256_hex(rows.to_numpy(np.uint64).tobytes())
    parts = [strategy.model_dump(mode="json"), universe.resolved, grid, engine, data, per_symbol, *how]
    if news is not None:
        parts.append(news_sha256(news, bars, bar_length(strategy.interval)))
    return sha256_hex(canonical_json(parts))[:16]
