"""A grid of parameters through an engine, point by point, on joblib's backends.

DIR/points.jsonl   what the sweep is, then a line for each finished point: a run that died goes on after them
DIR/sweep.csv      parameters and metrics, a row for each point, in the grid's order
DIR/sweep.json     the same, the best point, and how far it is to be believed
DIR/report.html    table and heat map
"""

import base64
import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.backtest import _frames, _run_engine, check_engines
from backtest.grid import Values, points, strategy_at
from backtest.overfitting import backtest_overfitting
from backtest.shared_features import groups, signals_of
from backtest.sources import file_steps
from backtest.trials import Ledger, Verdict, judged, returns_of, trial
from backtest.universes import bars_of
from backtest.walk_forward import Window, walk_forward
from plugins.bars import COLUMNS, times_of
from plugins.strategy import ready_strategy
from plugins.universe import Universe, universe_of
from schemas.canonical import canonical_json, sha256_hex
from schemas.config import Config, Strategy
from schemas.errors import AlphawireError, ConfigurationError

POINTS, TABLE, SUMMARY = "points.jsonl", "sweep.csv", "sweep.json"
AT_ONCE = 16
"""Points between two looks at the results: so many a crash may cost."""
BACKENDS = ("loky", "threading", "dask", "ray")


@dataclass(frozen=True)
class Point:
    """One combination of settings, perhaps for one symbol alone, and what it came to."""

    number: int
    parameters: Values
    config_hash: str
    symbol: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    returns: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    times: tuple[int, int] = (0, 0)

    @property
    def sharpe(self) -> float:
        value = self.metrics.get("sharpe")
        return -np.inf if value is None else float(value)


@dataclass(frozen=True)
class Sweep:
    """All points in order; `best` has the highest Sharpe ratio. `matrix`: their returns, a column each."""

    points: list[Point]
    best: Point
    verdict: Verdict
    windows: list[Window]
    resumed: int

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.column_stack([point.returns for point in self.points])


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
    """
    check_engines([engine])
    strategy = config.strategy(name)
    universe = universe_of(name, strategy)
    bars = bars_of(universe, bars).reset_index(drop=True)
    if not len(bars):
        raise ConfigurationError("there are no bars in this range; look at --from, --to and the strategy's universe")
    todo, strategies = _planned(name, strategy, bars, grid, per_symbol)
    _check_folder(out)
    identity = _identity(strategy, universe, grid, engine, bars, per_symbol)
    done = _read_done(out / POINTS, identity)
    if progress:
        progress(len(done))
    waiting = [point for point in todo if point.number not in done]
    for some in _run(name, strategies, bars, waiting, engine, backend, address, jobs):
        _append(out / POINTS, some)
        if ledger:
            ledger.add([_trial(name, point) for point in some])
        done |= {point.number: point for point in some}
        if progress:
            progress(len(some))
    result = _judge(name, [done[point.number] for point in todo], ledger, windows, bars, len(todo) - len(waiting))
    _write(out, name, engine, grid, result)
    return result


def _planned(
    name: str, strategy: Strategy, bars: pd.DataFrame, grid: dict[str, list[Any]], per_symbol: bool
) -> tuple[list[Point], list[Strategy]]:
    """The points, numbered, each with its strategy; whatever is wrong with one is told before any runs."""
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
    engine: str,
    backend: str,
    address: str | None,
    jobs: int,
) -> Iterator[list[Point]]:
    from joblib import Parallel, delayed

    with workers(backend, address):
        parallel = Parallel(n_jobs=jobs)
        tasks = _tasks(name, strategies, bars, waiting)
        while some := [task for _, task in zip(range(AT_ONCE), tasks, strict=False)]:
            found = parallel(delayed(_one)(engine, *task) for task in some)
            yield sorted(found, key=lambda point: point.number)


def _tasks(
    name: str, strategies: Sequence[Strategy], bars: pd.DataFrame, waiting: Sequence[Point]
) -> Iterator[tuple[Point, Strategy, pd.DataFrame, pd.DataFrame]]:
    """Point, strategy, bars and signals; the features are computed here, once for all points that share them."""
    ready = [ready_strategy(name, strategies[point.number]) for point in waiting]
    for numbers in groups(ready):
        members = [ready[number] for number in numbers]
        steps = file_steps(bars, members[0].interval)
        for number, signals in zip(numbers, signals_of(members, steps), strict=True):
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


@contextlib.contextmanager
def workers(backend: str, address: str | None) -> Iterator[None]:
    """joblib's backend for what runs inside."""
    from joblib import parallel_config

    if backend not in BACKENDS:
        raise ConfigurationError(f"there is no backend {backend}; there are: {', '.join(BACKENDS)}")
    if backend not in ("dask", "ray"):
        with parallel_config(backend=backend):
            yield
        return
    with _cluster(backend, address), parallel_config(backend=backend):
        yield


@contextlib.contextmanager
def _cluster(backend: str, address: str | None) -> Iterator[None]:
    """A connection to the cluster; without an address Dask starts one here."""
    try:
        if backend == "dask":
            distributed = importlib.import_module("distributed")
            with distributed.Client(address, timeout=10) if address else distributed.Client():
                yield
            return
        ray = importlib.import_module("ray")
        register = importlib.import_module("ray.util.joblib").register_ray
    except ImportError:
        name = {"dask": "distributed", "ray": "ray"}[backend]
        raise ConfigurationError(f"the backend {backend} needs a package: pip install {name}") from None
    except OSError as error:
        raise ConfigurationError(f"no Dask scheduler answers at {address}: {error}") from None
    ray.init(address=address)
    register()
    yield


def _judge(
    name: str, found: list[Point], ledger: Ledger | None, windows: int, bars: pd.DataFrame, resumed: int
) -> Sweep:
    best = max(found, key=lambda point: (point.sharpe, -point.number))
    same = len({(len(point.returns), point.times) for point in found}) == 1
    matrix = np.column_stack([point.returns for point in found]) if same else np.zeros((0, 0))
    chance = backtest_overfitting(matrix) if same else None
    trials = ledger.of(name) if ledger else [_trial(name, point) for point in found]
    if windows and not same:
        raise ConfigurationError("walk-forward compares points over the same bars; leave out --per-symbol")
    times = np.unique(bars["close_time"].to_numpy(np.int64))[1:]
    parts = walk_forward(matrix, times, windows) if windows else []
    return Sweep(found, best, judged(best.returns, trials, chance), parts, resumed)


def _trial(name: str, point: Point) -> Any:
    told = point.parameters | ({"symbol": point.symbol} if point.symbol else {})
    hashed = point.config_hash + (f"/{point.symbol}" if point.symbol else "")
    return trial(name, "sweep", hashed, point.returns, point.times, told)


def _identity(
    strategy: Strategy, universe: Universe, grid: Any, engine: str, bars: pd.DataFrame, per_symbol: bool
) -> str:
    """What must be the same for finished points to count."""
    rows = pd.util.hash_pandas_object(bars[["symbol", "close_time", *COLUMNS]], index=False)
    data = sha256_hex(rows.to_numpy(np.uint64).tobytes())
    return sha256_hex(
        canonical_json([strategy.model_dump(mode="json"), universe.resolved, grid, engine, data, per_symbol])
    )[:16]


def _check_folder(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / POINTS).exists():
        raise ConfigurationError(f"{out} holds files that no sweep wrote; give a new or empty folder")
    if not out.absolute().parent.is_dir() or out.is_file():
        raise ConfigurationError(f"{out} cannot become a folder; make the one above it first")
    out.mkdir(exist_ok=True)


def _read_done(path: Path, identity: str) -> dict[int, Point]:
    if not path.exists():
        path.write_text(json.dumps({"sweep": identity}) + "\n")
        return {}
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines or json.loads(lines[0]).get("sweep") != identity:
        raise ConfigurationError(
            f"{path.parent} holds another sweep (other grid, strategy, engine or bars); give a new"
        )
    whole = [line for line in lines if line.endswith(b"\n")]
    if len(whole) < len(lines):  # a crash within the last line
        os.truncate(path, sum(map(len, whole)))
    return {point.number: point for point in map(_from_line, whole[1:])}


def _from_line(line: bytes) -> Point:
    plain = json.loads(line)
    plain["returns"] = np.frombuffer(base64.b64decode(plain["returns"]), "<f8")
    plain["times"] = tuple(plain["times"])
    return Point(**plain)


def _append(path: Path, found: Sequence[Point]) -> None:
    lines = []
    for point in found:
        returns = base64.b64encode(point.returns.astype("<f8").tobytes()).decode()
        lines.append(json.dumps(asdict(point) | {"returns": returns}) + "\n")
    try:
        with path.open("a") as file:
            file.write("".join(lines))
    except OSError as error:
        raise AlphawireError(f"cannot write {path}: {error.strerror}; run again, and it goes on from there") from None


def table(result: Sweep) -> pd.DataFrame:
    """A row for each point: number, symbol (with per-symbol sweeps), parameters, metrics."""
    rows = [
        {"point": point.number} | ({"symbol": point.symbol} if point.symbol else {}) | point.parameters | point.metrics
        for point in result.points
    ]
    return pd.DataFrame(rows)


def _write(out: Path, name: str, engine: str, grid: dict[str, list[Any]], result: Sweep) -> None:
    from backtest.sweep_report import sweep_page

    best = result.best
    summary = {
        "strategy": name,
        "engine": engine,
        "grid": grid,
        "points": json.loads(table(result).to_json(orient="records")),
        "best": {"point": best.number, "symbol": best.symbol, "parameters": best.parameters, "metrics": best.metrics},
        "overfitting": asdict(result.verdict),
        "walk_forward": [asdict(window) for window in result.windows],
    }
    files = {
        TABLE: table(result).to_csv(index=False),
        SUMMARY: json.dumps(summary, indent=2) + "\n",
        "report.html": sweep_page(name, engine, grid, result),
    }
    try:
        for file, text in files.items():
            aside = out / f".{file}.part"
            aside.write_text(text, encoding="utf-8")
            aside.replace(out / file)
    except OSError as error:
        raise AlphawireError(f"cannot write {out}: {error.strerror or error}; the points are kept") from None
