"""The checks of backtest engines."""

import math
import time
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from plugins.base import BaseBacktestEngine, Plugin
from plugins.checks.engines.cases import CASES, Case
from plugins.checks.features.feature_checks import judged
from plugins.checks.features.subject import describe
from plugins.checks.findings.compare import difference
from plugins.checks.findings.outcome import Failed
from plugins.checks.parameters import refused
from plugins.checks.process import outside
from plugins.checks.repetition import digest
from plugins.engines.results.metrics import metrics

REPORTED = ("trades", "equity_curve", "metrics")
EXACT = 1e-8
"""Largest distance between engines, as a fraction of the equity."""


class EngineSubject:
    """What the checks of an engine share: a longer market, and the engine's report on it."""

    def __init__(self, cls: type[BaseBacktestEngine], params: dict[str, Any]) -> None:
        self.cls, self.params = cls, params
        self.prices, self.signals = _market(60)

    def new(self, config: dict[str, Any]) -> BaseBacktestEngine:
        try:
            return self.cls(**{**self.params, **config})
        except Exception as error:
            raise Failed(f"it cannot be created: {describe(error)}", "take the settings of `execution`") from error

    def run(
        self, prices: pd.DataFrame, signals: pd.DataFrame, what: str, config: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            report = self.new(config or {}).run(prices.copy(), signals.copy())
        except (Exception, SystemExit) as error:
            raise Failed(f"run raised {describe(error)} for {what}", "see what it does with these few bars") from error
        missing = [name for name in REPORTED if not isinstance(report, dict) or name not in report]
        if missing:
            raise Failed(f"run returned no {', '.join(missing)}", f"return a dict with {', '.join(REPORTED)}")
        curve = report["equity_curve"]
        if not isinstance(curve, pd.DataFrame) or "equity" not in curve:
            raise Failed("equity_curve is no frame with a column equity", "return one row for each time of the prices")
        return report

    @cached_property
    def baseline(self) -> dict[str, Any]:
        return self.run(self.prices, self.signals, "sixty bars of two symbols")


def _market(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(5)
    times = pd.date_range("2024-01-02", periods=count, freq="D", tz="UTC").as_unit("ms")
    index = pd.MultiIndex.from_product([times, ["A", "B"]], names=["time", "symbol"])
    steps = random.normal(0.0, 0.02, (count, 2)).cumsum(axis=0)
    close = 100.0 * np.array([math.exp(value) for value in steps.ravel().tolist()])
    opened = close * (1.0 + random.normal(0.0, 0.003, len(close)))
    prices = pd.DataFrame({"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close),
                           "close": close, "volume": 1000.0}, index)  # fmt: skip
    return prices, pd.DataFrame({"signal": random.choice(["BUY", "SELL", "HOLD", "FLAT"], len(index))}, index)


def reads_its_input_alone(subject: EngineSubject) -> str:
    """Files, network, programs and clocks were watched while it ran."""
    subject.baseline  # noqa: B018  (what a library reads when it is first used does not count)
    return outside.only_input(lambda: subject.new({}).run(subject.prices.copy(), subject.signals.copy()), subject.cls)


def computes(subject: EngineSubject) -> str:
    """It ran on sixty bars of two symbols."""
    report = subject.baseline
    return f"{len(report['trades'])} trades, {len(report['equity_curve'])} times"


def execution_contract(subject: EngineSubject) -> str:
    """Seventeen small cases, whose equity was computed by hand, were run."""
    broken = [fault for case in CASES if (fault := _broken(subject, case))]
    if broken:
        raise Failed("; ".join(broken), "follow the execution contract; plugins.engines.contract holds its arithmetic")
    return f"{len(CASES)} cases, to 1e-8"


def _broken(subject: EngineSubject, case: Case) -> str | None:
    """How an engine departs from the case; None: it does not."""
    try:
        report = subject.run(case.prices(), case.decided(), f"the case '{case.rule}'", case.settings())
    except Failed as failed:
        return failed.saw
    equity = report["equity_curve"]["equity"].to_numpy(np.float64)
    if len(equity) == len(case.equity) and np.allclose(equity, case.equity, rtol=EXACT, atol=0.0):
        return None
    return f"{case.rule}: the equity was {_few(equity)}, by hand it is {_few(np.array(case.equity))}"


def _few(values: Any) -> str:
    return ", ".join(f"{value:.8g}" for value in values[:6])


def reports(subject: EngineSubject) -> str:
    """Its metrics were compared with those that `plugins.engines.results.metrics` makes of its equity curve."""
    report, given = subject.baseline, subject.baseline["metrics"]
    for name, value in given.items():
        if isinstance(value, float) and not np.isfinite(value):
            raise Failed(f"the metric {name} is {value}", "undefined is None, never infinite or NaN")
    if "fills" not in report or not {"long", "short"} <= set(report["equity_curve"]):
        curve = report["equity_curve"]["equity"].to_numpy(np.float64)
        wanted: dict[str, Any] = {"final_equity": curve[-1]}
    else:
        capital = subject.new({}).config.get("capital", 100_000.0)
        wanted = dict(metrics(report["equity_curve"], report["trades"], report["fills"], capital=capital))
    for name in ("final_equity", "total_return", "max_drawdown", "volatility"):
        if name not in wanted:
            continue
        if name not in given or not np.isclose(given[name], wanted[name], rtol=1e-9):
            raise Failed(
                f"the metric {name} is {given.get(name)}, the equity curve gives {wanted[name]}",
                "return plugins.engines.results.metrics.metrics(…), one module for all engines",
            )
    return f"{len(given)} metrics"


def input_untouched(subject: EngineSubject) -> str:
    """The frames that `run` was given were compared with copies of them afterwards."""
    prices, signals = subject.prices.copy(), subject.signals.copy()
    subject.new({}).run(prices, signals)
    if not prices.equals(subject.prices) or not signals.equals(subject.signals):
        raise Failed("run changed a frame that it was given", "work on a copy")
    return "they are as they were"


def repeatable(subject: EngineSubject) -> str:
    """Run twice, and once in a process with another hash seed: the equity curves were compared."""
    first = subject.baseline["equity_curve"][["equity"]]
    second = subject.run(subject.prices, subject.signals, "the second time")["equity_curve"][["equity"]]
    deviation = difference(first, second)
    if deviation is not None:
        raise Failed(f"the second time {deviation.text}", "no clock, no unseeded random numbers, no order of a set")
    return f"SHA-256 {digest(first)}"


def no_look_ahead(subject: EngineSubject) -> str:
    """Bars and signals after a time were changed or cut off: the equity up to that time may not change."""
    curve = subject.baseline["equity_curve"][["equity"]]
    for last in (5, 20, 40, 57):
        rows = 2 * (last + 1)
        later = subject.prices.copy()
        later.iloc[rows:, :4] *= 3.0
        for what, prices, signals in (
            ("were multiplied by 3", later, subject.signals),
            ("were cut off", subject.prices.iloc[:rows], subject.signals.iloc[:rows]),
        ):
            seen = subject.run(prices, signals, "changed futures")["equity_curve"][["equity"]]
            deviation = difference(curve.iloc[: last + 1], seen.iloc[: last + 1], 1e-12)
            if deviation is not None:
                raise Failed(
                    f"when the bars after time {last} {what}, {deviation.text}",
                    "fill an order at bars after its decision, and value positions at closes that are known",
                )
    return "8 changed futures changed nothing before them"


def parameters(subject: EngineSubject) -> str:
    """Values outside the declared limits, of another type, and an unknown name were tried."""

    def use(plugin: Plugin) -> None:
        assert isinstance(plugin, BaseBacktestEngine)
        plugin.run(subject.prices.copy(), subject.signals.copy())

    return refused(subject.cls, subject.params, use)


def speed(subject: EngineSubject) -> str:
    """The time of a bar was measured over sixty bars of two symbols."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        subject.run(subject.prices, subject.signals, "sixty bars")
        times.append(time.process_time() - begin)
    return judged(subject.cls.cost, 1e6 * min(times) / len(subject.prices), "bar")
