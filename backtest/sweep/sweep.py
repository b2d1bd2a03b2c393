"""A grid of parameters through an engine, point by point, on joblib's backends; the folder: `backtest.sweep.folder`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.engines.backtest import _frames, _run_engine, check_engines
from backtest.replay.shared_features import groups, signals_of
from backtest.sources.bars import file_steps
from backtest.sources.news import NewsOf, news_sha256
from backtest.sources.universes import bars_of
from backtest.sweep.folder import SweepFolder
from backtest.sweep.grid import points, strategy_at
from backtest.sweep.points import Point, Sweep
from backtest.sweep.walk_forward import walk_forward
from backtest.sweep.workers import workers
from backtest.trials.overfitting import backtest_overfitting
from backtest.trials.trials import Ledger, Trial, judged, returns_of, trial
from plugins.base.bars import COLUMNS, times_of
from plugins.news.join import NewsJoin
from plugins.strategy.ready import ready_strategy
from plugins.strategy.universe import Universe, universe_of
from schemas.canonical import canonical_json, sha256_hex
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError
from schemas.wire import interval_ms

AT_ONCE = 16
"""Points between two looks at the results: so many a crash may cost."""


def sweep(
    config: Config,
    name: str,
    bars: pd.DataFrame,
    grid: dict[str, list[Any]],
    out: Path,
    *,
    engine: str = "backtrader",
    per_symbol: bool = False,
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
    windows
        Cut the time into so many parts: the best point of each is tried on the next (walk-forward).
    backend, address, jobs
        Of joblib: ``loky`` (processes here), ``threading``, ``dask`` or ``ray`` (a cluster at `address`).
    news
        Of the bars; None: what uses news is unknown.
    """
    check_engines([engine])
    strategy = config.strategy(name)
    universe = universe_of(name, strategy)
    bars = bars_of(universe, bars).reset_index(drop=True)
    if not len(bars):
        raise ConfigurationError("there are no bars in this range; look at --from, --to and the strategy's universe")
    todo, strategies = _planned(name, strategy, bars, grid, per_symbol)
    join = news(bars) if news else None
    folder = SweepFolder(out, _identity(strategy, universe, grid, engine, bars, per_symbol, join))
    done = folder.finished()
    if progress:
        progress(len(done))
    waiting = [point for point in todo if point.number not in done]
    for batch in _run(name, strategies, bars, waiting, join, engine, backend, address, jobs):
        folder.append(batch)
        if ledger:
            ledger.add([_trial(name, point) for point in batch])
        done |= {point.number: point for point in batch}
        if progress:
            progress(len(batch))
    result = _judge(name, [done[point.number] for point in todo], ledger, windows, bars, len(todo) - len(waiting))
    folder.write(name, engine, grid, result)
    return result


def _planned(
    name: str, strategy: Strategy, bars: pd.DataFrame, grid: dict[str, list[Any]], per_symbol: bool
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
        ready = ready_strategy(name, at)
        if per_symbol and ready.generator.cross_section:
            raise ConfigurationError(f"{ready.generator.key} decides on all symbols at once; leave out --per-symbol")
        for symbol in symbols:
            todo.append(Point(len(todo), values, ready.config_hash, symbol))
            strategies.append(at)
    return todo, strategies


def _run(
    name: str,
    strategies: Sequence[Strategy],
    bars: pd.DataFrame,
    waiting: Sequence[Point],
    news: NewsJoin | None,
    engine: str,
    backend: str,
    address: str | None,
    jobs: int,
) -> Iterator[list[Point]]:
    from joblib import Parallel, delayed

    with workers(backend, address):
        parallel = Parallel(n_jobs=jobs)
        tasks = _tasks(name, strategies, bars, waiting, news)
        while batch := [task for _, task in zip(range(AT_ONCE), tasks, strict=False)]:
            points = parallel(delayed(_one)(engine, *task) for task in batch)
            yield sorted(points, key=lambda point: point.number)


def _tasks(
    name: str,
    strategies: Sequence[Strategy],
    bars: pd.DataFrame,
    waiting: Sequence[Point],
    news: NewsJoin | None,
) -> Iterator[tuple[Point, Strategy, pd.DataFrame, pd.DataFrame]]:
    """Point, strategy, bars and signals; the features are computed here, once for all points that share them."""
    ready = [ready_strategy(name, strategies[point.number]) for point in waiting]
    for numbers in groups(ready):
        members = [ready[number] for number in numbers]
        steps = file_steps(bars, members[0].interval)
        for number, signals in zip(numbers, signals_of(members, steps, news), strict=True):
            point = waiting[number]
            mine = bars if point.symbol is None else bars[bars["symbol"] == point.symbol]
            kept = signals if point.symbol is None else signals[signals["symbol"] == point.symbol]
            yield point, strategies[point.number], mine, kept


def _one(engine: str, point: Point, strategy: Strategy, bars: pd.DataFrame, signals: pd.DataFrame) -> Point:
    """What a worker process does."""
    prices, decisions = _frames(strategy, bars, signals)
    result = _run_engine(engine, strategy, prices, decisions)
    curve = result["equity_curve"]
    equity = curve["equity"] if isinstance(curve, pd.DataFrame) else curve
    times = times_of(equity.index)
    return Point(
        point.number, point.parameters, point.config_hash, point.symbol, result["metrics"],
        returns_of(np.asarray(equity, np.float64)), (int(times[0]), int(times[-1])),
    )  # fmt: skip


def _judge(
    name: str, points: list[Point], ledger: Ledger | None, windows: int, bars: pd.DataFrame, resumed: int
) -> Sweep:
    best = max(points, key=lambda point: (point.sharpe, -point.number))
    same = len({(len(point.returns), point.times) for point in points}) == 1
    matrix = np.column_stack([point.returns for point in points]) if same else np.zeros((0, 0))
    chance = backtest_overfitting(matrix) if same else None
    trials = ledger.of(name) if ledger else [_trial(name, point) for point in points]
    if windows and not same:
        raise ConfigurationError("walk-forward compares points over the same bars; leave out --per-symbol")
    times = np.unique(bars["close_time"].to_numpy(np.int64))[1:]
    parts = walk_forward(matrix, times, windows) if windows else []
    return Sweep(points, best, judged(best.returns, trials, chance), parts, resumed)


def _trial(name: str, point: Point) -> Trial:
    parameters = point.parameters | ({"symbol": point.symbol} if point.symbol else {})
    hashed = point.config_hash + (f"/{point.symbol}" if point.symbol else "")
    return trial(name, "sweep", hashed, point.returns, point.times, parameters)


def _identity(
    strategy: Strategy,
    universe: Universe,
    grid: Any,
    engine: str,
    bars: pd.DataFrame,
    per_symbol: bool,
    news: NewsJoin | None,
) -> str:
    """What must be the same for finished points to count."""
    rows = pd.util.hash_pandas_object(bars[["symbol", "close_time", *COLUMNS]], index=False)
    data = sha256_hex(rows.to_numpy(np.uint64).tobytes())
    parts = [strategy.model_dump(mode="json"), universe.resolved, grid, engine, data, per_symbol]
    if news is not None:
        parts.append(news_sha256(news, bars, interval_ms(strategy.interval)))
    return sha256_hex(canonical_json(parts))[:16]
