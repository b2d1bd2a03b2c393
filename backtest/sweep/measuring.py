"""What one point of a sweep comes to: metrics and equity."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from backtest.engines.backtest import _frames, _run_engine
from backtest.sweep.points import Point
from backtest.trials.trials import returns_of
from plugins.base.bars import times_of
from plugins.base.loading.discovery import require
from plugins.engines import engine_registry
from plugins.engines.market import Bars, prepare_bars
from plugins.engines.results.metrics import Metrics
from plugins.engines.results.sessions import periods_per_year
from schemas.configuration import Strategy
from schemas.wire import bar_length


class Engine(NamedTuple):
    """Which engine a sweep uses; `file`: where a process finds one that it does not know; `data`: of the bars."""

    key: str
    file: Path | None
    data: str


class _Prepared(NamedTuple):
    """The bars that this process used last, and how many a year has, by interval and calendar."""

    name: tuple[str, str | None, str]
    bars: Bars
    periods: dict[tuple[str, str], float]


_last: list[_Prepared] = []
"""At most one."""


def run_point(engine: Engine, point: Point, strategy: Strategy, bars: pd.DataFrame, signals: pd.DataFrame) -> Point:
    """What a worker process does."""
    require(engine_registry, engine.key, engine.file)
    quick = "measure" in vars(engine_registry.get(engine.key))  # one that is derived may change what `run` does
    metrics, equity, times = (_measured if quick else _run)(engine, point, strategy, bars, signals)
    return Point(
        point.number, point.parameters, point.config_hash, point.symbol, metrics,
        returns_of(np.asarray(equity, np.float64)), (int(times[0]), int(times[-1])),
    )  # fmt: skip


def _run(engine: Engine, _: Point, strategy: Strategy, bars: pd.DataFrame, signals: pd.DataFrame) -> Any:
    prices, decisions = _frames(strategy, bars, signals)
    result = _run_engine(engine.key, strategy, prices, decisions)
    curve = result["equity_curve"]
    equity = curve["equity"] if isinstance(curve, pd.DataFrame) else curve
    return result["metrics"], equity, times_of(equity.index)


def _measured(
    engine: Engine, point: Point, strategy: Strategy, bars: pd.DataFrame, signals: pd.DataFrame
) -> tuple[Metrics, Any, Any]:
    """By an engine that can do without tables, on bars that are prepared once for many points."""
    prepared = _prepared((engine.data, point.symbol, repr(strategy.universe)), strategy, bars)
    execution = strategy.execution
    year = strategy.interval, execution.calendar
    if year not in prepared.periods:
        prepared.periods[year] = periods_per_year(prepared.bars.times, bar_length(year[0]), year[1])
    ready: Any = engine_registry.create(engine.key, **execution.model_dump(), interval=strategy.interval)
    metrics, equity = ready.measure(prepared.bars, signals, prepared.periods[year])
    return metrics, equity, prepared.bars.keys.times


def _prepared(name: tuple[str, str | None, str], strategy: Strategy, bars: pd.DataFrame) -> _Prepared:
    if not _last or _last[0].name != name:
        _last[:] = [_Prepared(name, prepare_bars(_frames(strategy, bars, bars[:0].assign(time=0))[0]), {})]
    return _last[0]
