"""Two backtests side by side: what they came to, and in which settings they differ."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.engines.backtest import SUMMARY
from backtest.report.chart import Line, chart
from backtest.report.page import page
from backtest.report.report import METRICS, NOTHING, shown
from schemas.atomic import atomic_write
from schemas.errors import AlphawireError, ConfigurationError
from schemas.wire import bar_length


@dataclass(frozen=True)
class Result:
    """A folder that `backtest` wrote, by its first engine."""

    folder: Path
    summary: dict[str, Any]
    equity: "pd.Series[float]"

    @property
    def engine(self) -> str:
        return str(next(iter(self.summary["engines"])))

    @property
    def metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = self.summary["engines"][self.engine]["metrics"]
        return metrics

    def settings(self) -> dict[str, str]:
        """What a reader wants to see apart, each by its place; a run of an earlier build has not kept all of it."""
        summary = self.summary
        names = ("strategy", "interval", "first_open", "last_close", "bars", "signals")
        plain: dict[str, Any] = {name: summary.get(name) for name in names}
        plain |= {"symbols": ", ".join(summary["symbols"]), "engine": self.engine, "execution": summary["execution"]}
        settings = dict(_flat("", plain | summary.get("configuration", {})))
        return settings | {"config_hash": str(summary["config_hash"])}


def read_result(folder: Path) -> Result:
    """`ConfigurationError` for a folder that no backtest wrote."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        engine = next(iter(summary["engines"]))
        curve = pd.read_parquet(folder / engine / "equity.parquet")
        return Result(folder, summary, curve.set_index("time")["equity"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise ConfigurationError(f"{folder} holds no backtest; write one with `alphawire backtest --out`") from None


def compare(one: Path, other: Path, out: Path) -> tuple[Result, Result]:
    """Writes the page `out`."""
    results = read_result(one), read_result(other)
    try:
        with atomic_write(out) as aside:
            aside.write_text(compare_page(*results), encoding="utf-8")
    except OSError as error:
        raise AlphawireError(f"cannot write {out}: {error.strerror or error}") from None
    return results


def compare_page(one: Result, other: Result) -> str:
    """One HTML page that fetches nothing."""
    names = [str(result.folder) for result in (one, other)]
    legend = "".join(f'<li><i class="engine{n}"></i>{escape(name)}</li>' for n, name in enumerate(names))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return page(
        "compare.html", "Two backtests", legend=legend, head=head, equity=_equity(one, other),
        metrics=_metrics(one, other), settings=_settings(one, other),
    )  # fmt: skip


def _equity(one: Result, other: Result) -> str:
    """Growth of one unit of capital, over the bars of both."""
    lines = [result.equity / float(result.summary["execution"]["capital"]) for result in (one, other)]
    times = pd.DatetimeIndex(lines[0].index.union(lines[1].index))
    opens = times - pd.Timedelta(milliseconds=bar_length(one.summary["interval"]))
    drawn = [Line(f"engine{n}", np.asarray(line.reindex(times), np.float64)) for n, line in enumerate(lines)]
    return chart(drawn, opens, lambda value: f"{value:.3g}")


def _metrics(one: Result, other: Result) -> str:
    return "".join(
        f"<tr><th>{label}</th><td>{shown(one.metrics.get(name), kind)}</td>"
        f"<td>{shown(other.metrics.get(name), kind)}</td></tr>"
        for name, (label, kind) in METRICS.items()
    )


def differences(one: Result, other: Result) -> list[tuple[str, str, str]]:
    """Settings that differ: place, and what it says in each run."""
    ours, theirs = one.settings(), other.settings()
    return [
        (name, ours.get(name, NOTHING), theirs.get(name, NOTHING))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def _settings(one: Result, other: Result) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(ours)}</td><td>{escape(theirs)}</td></tr>"
        for name, ours, theirs in differences(one, other)
    )
    return (
        rows
        or '<tr><td colspan="3" class="text">None: the two are runs of one configuration on the same bars.</td></tr>'
    )


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Each plain value by its place; a plugin of a list by its first column, or by its key."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(f"{place}.{name}" if place else str(name), part)
    elif isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        for part in value:
            yield from _flat(f"{place}.{(part.get('columns') or [part.get('key')])[0]}", part)
    else:
        yield place, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
