"""What a report is about."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from backtest.trials.trials import TrialVerdict
from schemas.configuration import Strategy
from schemas.wire import bar_length

SHORT_DAYS = 90


@dataclass(frozen=True)
class BacktestOutcome:
    """What a report is about: `results` by engine, equity of buying and holding by time."""

    name: str
    config_hash: str
    strategy: Strategy
    symbols: list[str]
    bars: int
    signals: int
    results: dict[str, dict[str, Any]]
    benchmark: "pd.Series[float]"
    benchmark_metrics: dict[str, Any]
    verdict: TrialVerdict | None = None
    prices: pd.DataFrame | None = None
    decisions: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    def opens(self) -> pd.DatetimeIndex:
        """When the bars opened: a daily bar's close is at the next day's midnight, which no reader expects. Where no
        time closes them: when they closed.
        """
        return pd.DatetimeIndex(self.benchmark.index) - pd.Timedelta(milliseconds=bar_length(self.strategy.interval))

    def first_open(self) -> pd.Timestamp:
        if self.prices is not None and "open_time" in self.prices:
            return pd.Timestamp(int(self.prices["open_time"].min()), unit="ms", tz="UTC")
        return self.opens()[0]

    def warnings(self) -> list[tuple[str, str]]:
        """What a reader must know first: (bad or note, text)."""
        notes = []
        if self.strategy.execution.price == "this_close":
            notes.append(
                ("bad", "This backtest looks ahead: orders fill at the very close that decided them (this_close).")
            )
        days = (self.benchmark.index[-1] - self.benchmark.index[0]) / pd.Timedelta(days=1)
        if days < SHORT_DAYS:
            notes.append(("note", f"The data spans {days:.0f} days: what is said of a year is an extrapolation."))
        if not self.signals:
            notes.append(("note", "There are no signals in this range."))
        keys_by_warning: dict[tuple[str, str], list[str]] = {}
        for key, result in self.results.items():
            for warning in _of_engine(result):
                keys_by_warning.setdefault(warning, []).append(key)
        notes += [("note", text) for text in self.notes]
        return notes + [(kind, f"{', '.join(keys)}: {text}") for (kind, text), keys in keys_by_warning.items()]


def _of_engine(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if float(equity_of(result).min()) <= 0:
        yield "bad", "the equity fell to nothing or below; what comes after it means little."
    if cuts := len(result.get("cuts", ())):
        yield "note", f"{counted(cuts, 'order')} cut, for want of cash or by the limit of exposure."
    if pending := len(result.get("pending", ())):
        yield "note", f"{counted(pending, 'order')} still waiting for a bar when the data ended."
    for text in result.get("warnings", ()):
        yield "note", str(text)


def equity_of(result: dict[str, Any]) -> "pd.Series[float]":
    """The equity of an engine's result; an engine of others may return a bare series."""
    curve = result["equity_curve"]
    return curve["equity"] if isinstance(curve, pd.DataFrame) else curve


def counted(number: int, what: str) -> str:
    """
    >>> counted(1, "order"), counted(1200, "order")
    ('1 order', '1,200 orders')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
