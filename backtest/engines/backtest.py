"""Signals through backtest engines, to a folder.

    DIR/report.html                  one self-contained page
    DIR/metrics.json                 what was run, and every engine's metrics
    DIR/ENGINE/NAME.parquet, .csv    trades, equity, fills, cuts, pending, below_lot (columns:
                                     `plugins.engines.results.frames`)

The folder is written aside and then renamed: a run that fails leaves an earlier result as it was.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.engines.late_fills import late_fills
from backtest.report.agreement import agreements
from backtest.report.outcome import BacktestOutcome, equity_of
from backtest.report.report import html_page
from backtest.report.sections.breakdown import breakdown
from backtest.report.sections.words import doubts
from backtest.sources.universes import bars_of
from backtest.trials.trials import Ledger, TrialVerdict, judged, length_of, returns_of, trial
from plugins.base.bars import times_of
from plugins.base.loading.listing import how_to_install
from plugins.engines import engine_registry
from plugins.engines.results.metrics import metrics
from plugins.strategy.universe import universe_of
from schemas.atomic import atomic_write
from schemas.configuration import Execution, Strategy
from schemas.errors import AlphawireError, ConfigurationError, PluginError
from schemas.wire import bar_length, is_varying

TABLES = {"equity": "equity_curve"} | {name: name for name in ("trades", "fills", "cuts", "pending", "below_lot")}
"""File name → key in an engine's result; an engine of others may lack all but the first two."""
SUMMARY, PAGE = "metrics.json", "report.html"


def run_backtest(
    strategy: Strategy,
    bars: pd.DataFrame,
    signals: pd.DataFrame,
    engines: Sequence[str],
    out: Path,
    *,
    name: str = "strategy",
    config_hash: str = "",
    config: dict[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
    ledger: Ledger | None = None,
    notes: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Runs `signals` through each engine over `bars` by the strategy's execution section, and writes the folder `out`.

    Parameters
    ----------
    strategy
        Its `interval`, `universe` and `execution` are used.
    bars
        symbol, open_time, close_time (ms), open, high, low, close, volume.
    signals
        symbol, time (ms, a bar's close), signal, weight, perhaps valid_until (ms); the weight is the target, NaN keeps
        the position.
    engines
        Keys of `engine_registry`.
    out
        A new or empty folder, or one that an earlier backtest wrote.
    name, config_hash, config
        Of the strategy, told in the report; `config` is the resolved configuration.
    progress
        Called with 1 when an engine is through.
    ledger
        Counts the run as a trial of the strategy (by its first engine's returns), and tells how many there were.
    notes
        What a reader must know of the bars; shown among the warnings.

    Returns
    -------
    dict
        What each engine's ``run`` returned.

    Raises
    ------
    ConfigurationError
        No bars, frames that cannot be used, an engine that is not there, a folder that holds something else.
    PluginError
        An engine failed; it is named.
    AlphawireError
        The folder cannot be written.
    """
    check_engines(engines)
    check_folder(out)
    prices, decisions = _frames(strategy, bars, signals)
    results = _run_engines(engines, strategy, prices, decisions, progress)
    verdict = _counted(ledger, name, config_hash, results, length_of(strategy.interval)) if ledger else None
    run = _described(strategy, prices, decisions, results)
    notes = [*notes, *late_fills(next(iter(results.values())), decisions, strategy.execution)]
    _write(
        replace(run, name=name, config_hash=config_hash, config=config or {}, verdict=verdict, notes=tuple(notes)), out
    )
    return results


def check_engines(keys: Sequence[str]) -> None:
    """`ConfigurationError` for an engine that is not registered (with near names), or not installed (with the mend)."""
    if not keys:
        raise ConfigurationError(f"no engine; there is: {', '.join(engine_registry.list_keys())}")
    for key in keys:
        try:
            engine = engine_registry.get(key)
        except KeyError as error:
            raise ConfigurationError(str(error.args[0])) from None
        if install := how_to_install(engine):
            raise ConfigurationError(f"the engine {key} is not installed: {install}")


def check_folder(out: Path) -> None:
    """`ConfigurationError` unless `out` is new, empty, or an earlier backtest's."""
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"{out} is a file; give a folder")
    if not out.parent.is_dir():
        raise ConfigurationError(f"there is no folder {out.parent}")
    if out.exists() and any(out.iterdir()) and not _is_ours(out):
        raise ConfigurationError(f"{out} holds files that no backtest wrote; give a new or empty folder")


def buy_and_hold(prices: pd.DataFrame, execution: Execution) -> "pd.Series[float]":
    """Equity of the capital in equal parts in every symbol, each bought as a decision on its first bar would, and held.

    Costs as in `execution`; any fraction of a share; a symbol that starts late has its part in cash until then.
    """
    closes = prices["close"].unstack("symbol").ffill()
    part = execution.capital / closes.shape[1]
    column, bar = {"next_open": ("open", 1), "next_close": ("close", 1), "this_close": ("close", 0)}[execution.price]
    total = pd.Series(0.0, index=closes.index)
    for symbol, bars in prices.groupby(level="symbol"):
        value = pd.Series(part, index=closes.index)
        if len(bars) > bar:
            bought = bars.index[bar][0]
            paid = bars[column].iloc[bar] * (1 + execution.slippage) * (1 + execution.commission)
            value[value.index >= bought] = part / paid * closes[symbol][closes.index >= bought]
        total += value
    return total


def _frames(strategy: Strategy, bars: pd.DataFrame, signals: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prices and signals as an engine wants them, by (close time, symbol)."""
    bars = bars_of(universe_of("strategy", strategy), bars)
    if not len(bars):
        raise ConfigurationError("there are no bars in this range; look at --from, --to and the strategy's universe")
    prices = bars.assign(time=pd.to_datetime(bars["close_time"], unit="ms", utc=True)).set_index(["time", "symbol"])
    decisions = signals.assign(time=pd.to_datetime(signals["time"], unit="ms", utc=True)).set_index(["time", "symbol"])
    opened = ["open_time"] if is_varying(strategy.interval) else []  # of others it follows from the interval
    return prices[[*opened, "open", "high", "low", "close", "volume"]].sort_index(), decisions.sort_index()


def _run_engines(
    keys: Sequence[str],
    strategy: Strategy,
    prices: pd.DataFrame,
    decisions: pd.DataFrame,
    progress: Callable[[int], None] | None,
) -> dict[str, dict[str, Any]]:
    results = {}
    for key in keys:
        results[key] = _run_engine(key, strategy, prices, decisions)
        if progress:
            progress(1)
    return results


def _described(
    strategy: Strategy, prices: pd.DataFrame, decisions: pd.DataFrame, results: dict[str, dict[str, Any]]
) -> BacktestOutcome:
    """The results beside those of buying and holding, as yet without a name."""
    benchmark = buy_and_hold(prices, strategy.execution)
    return BacktestOutcome(
        name="",
        config_hash="",
        strategy=strategy,
        symbols=sorted(prices.index.get_level_values("symbol").unique()),
        bars=len(prices),
        signals=len(decisions),
        results=results,
        benchmark=benchmark,
        benchmark_metrics=_benchmark_metrics(benchmark, strategy),
        prices=prices,
        decisions=decisions,
    )


def _run_engine(key: str, strategy: Strategy, prices: pd.DataFrame, decisions: pd.DataFrame) -> dict[str, Any]:
    engine = engine_registry.create(key, **strategy.execution.model_dump(), interval=strategy.interval)
    try:
        result = engine.run(prices, decisions)
    except AlphawireError:
        raise
    except Exception as error:  # whatever a foreign engine raises
        raise PluginError(f"the engine {key} failed: {type(error).__name__}: {error}") from error
    missing = [name for name in ("trades", "equity_curve", "metrics") if name not in result]
    if missing:
        raise PluginError(
            f"the engine {key} returned no {missing[0]}; run must return trades, equity_curve and metrics"
        )
    return result


def _counted(
    ledger: Ledger, name: str, config_hash: str, results: dict[str, dict[str, Any]], length: int | str
) -> TrialVerdict:
    """One trial, however many engines it went through: they are to agree."""
    equity = equity_of(next(iter(results.values())))
    returns = returns_of(np.asarray(equity, np.float64))
    times = times_of(equity.index)
    span = int(times[0]), int(times[-1])
    ledger.add([trial(name, "backtest", config_hash, returns, span, interval_ms=length)])
    return judged(returns, ledger.of(name), interval_ms=length)


def _benchmark_metrics(benchmark: "pd.Series[float]", strategy: Strategy) -> dict[str, Any]:
    curve = pd.DataFrame({"equity": benchmark, "long": 0.0, "short": 0.0})
    nothing = pd.DataFrame({"pnl": [], "size": [], "price": [], "commission": []}, dtype=float)
    execution, length = strategy.execution, bar_length(strategy.interval)
    values = metrics(
        curve, nothing, nothing, capital=execution.capital, interval_ms=length, calendar=execution.calendar
    )
    left_out = ("trades", "turnover", "bars_in_market", "exposure", "commission", "fills")
    return {name: None if name in left_out else value for name, value in values.items()}


def summary(run: BacktestOutcome) -> dict[str, Any]:
    """What ``metrics.json`` holds."""
    parts = breakdown(run)
    return {
        "strategy": run.name,
        "config_hash": run.config_hash,
        "interval": run.strategy.interval,
        "first_open": run.first_open().isoformat(),
        "last_close": run.benchmark.index[-1].isoformat(),
        "symbols": run.symbols,
        "bars": run.bars,
        "signals": run.signals,
        "execution": run.strategy.execution.model_dump(),
        "configuration": run.config,
        "agreement": [agreement._asdict() for agreement in agreements(run.results, run.strategy.execution.capital)],
        "warnings": [text for _, text in run.warnings()],
        "engines": {
            key: {"metrics": result["metrics"]}
            | {name: len(result[name]) for name in ("cuts", "pending", "below_lot") if name in result}
            for key, result in run.results.items()
        },
        "buy_and_hold": run.benchmark_metrics,
        "overfitting": asdict(run.verdict) if run.verdict else None,
        "breakdown": parts.plain(),
        "doubts": doubts(run, parts),
    }


def _write(run: BacktestOutcome, out: Path) -> None:
    try:
        with atomic_write(out) as aside:
            aside.mkdir()
            for key, result in run.results.items():
                folder = aside / key
                folder.mkdir()
                for name, place in TABLES.items():
                    if place in result:
                        _write_table(result[place], folder / name)
            (aside / SUMMARY).write_text(json.dumps(summary(run), indent=2) + "\n", encoding="utf-8")
            (aside / PAGE).write_text(html_page(run), encoding="utf-8")
    except OSError as error:
        raise AlphawireError(f"cannot write {out}: {error.strerror or error}; nothing was changed") from None


def _write_table(table: pd.DataFrame, path: Path) -> None:
    has_times = isinstance(table.index, pd.DatetimeIndex)
    plain = table.reset_index(names="time") if has_times else table
    plain.to_parquet(path.with_suffix(".parquet"), index=False)
    plain.to_csv(path.with_suffix(".csv"), index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")


def _is_ours(out: Path) -> bool:
    try:
        engines = json.loads((out / SUMMARY).read_text(encoding="utf-8"))["engines"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return {entry.name for entry in out.iterdir()} <= {SUMMARY, PAGE, *engines}
