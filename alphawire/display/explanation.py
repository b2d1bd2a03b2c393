"""An explanation of a signal, as a page for people."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from backtest.explain.explain import Explanation
    from backtest.explain.first_difference import FirstDifference

SHOWN = 10
"""Rows of a table: bars, or symbols of a cross-section."""


def show(explanation: "Explanation") -> None:
    """Prints the page."""
    from rich.console import Console

    console = Console(highlight=False)
    for label, value in _facts(explanation):
        console.print(f"{label:<14}", value, markup=False, soft_wrap=True)
    if explanation.bars:
        console.print(_columns(explanation), _bars(explanation))
    if explanation.section:
        console.print(_symbols(explanation.section, explanation.recomputed["content"]["symbol"]))
    console.print(_verdict(explanation), markup=False, soft_wrap=True)


def _facts(explanation: "Explanation") -> list[tuple[str, str]]:
    facts = [("signal", explanation.id)]
    signal = explanation.published
    if signal is None:
        return facts
    content, provenance = signal["content"], signal["provenance"]
    weight = "keep what there is" if content["weight"] is None else f"{content['weight']:g}"
    place = f"{provenance['topic']}/{provenance['partition']} offset {provenance['offset']}"
    facts += [
        ("strategy", content["strategy"]),
        ("bar", f"{content['symbol']} closing {_time(content['time'])}, {place}"),
        ("decision", f"{content['signal']}, target weight {weight}"),
    ]
    if explanation.recomputed is None:
        return facts
    model, origin = explanation.model, explanation.recomputed["provenance"]["origin"]
    since = f"offset {origin['offset']}" + (f", {_time(origin['time'])}" if origin["time"] is not None else "")
    force = "" if explanation.in_force_from is None else f", in force from offset {explanation.in_force_from} on"
    return [
        *facts,
        ("rule", str(explanation.rule)),
        *_section(explanation.section),
        ("prediction", _number(explanation.prediction)),
        ("model", f"{model['key']} {model['sha256']}" if model else "none: a column is the prediction"),
        ("configuration", f"{explanation.config_hash}{force}"),
        *_features(explanation.configuration),
        ("state", f"{explanation.folded} bars of the symbol since its origin, {since}"),
    ]


def _features(configuration: dict[str, Any]) -> list[tuple[str, str]]:
    """A line for each: which plugin gave which columns."""
    return [
        (
            "feature",
            f"{use['key']} version {use['version']}"
            + "".join(f", {name} {value}" for name, value in use["params"].items())
            + f" over {configuration['interval']}: {', '.join(use['columns'][:SHOWN])}"
            + (f" and {len(use['columns']) - SHOWN} more" if len(use["columns"]) > SHOWN else ""),
        )
        for use in configuration["features"]
    ]


def _section(section: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Who was decided about together."""
    if section is None:
        return []
    late = [("late", ", ".join(section["late"]))] if section["late"] else []
    if (closing := section["closing"]) is None:
        return [("closing", "none on the log yet"), *late]
    place = "all that have a bar" if section["offset"] is None else f"predictions offset {section['offset']}"
    text = f"{place}, of {_time(closing['time'])}, by configuration"
    here = f"{len(closing['members'])} members of {closing['expected']} expected"
    facts = [("closing", f"{text} {closing['config_hash']}"), ("decided about", here)]
    facts += [(name, ", ".join(closing[name])) for name in ("missing", "left") if closing[name]]
    rank = [("rank", f"{section['rank']} of {section['ranked']}, 1 the lowest")] if section["rank"] else []
    return [*facts, *late, *rank]


def _symbols(section: dict[str, Any], symbol: str) -> "Table":
    """Those beside it, in the order of their ranks."""
    from rich.box import SIMPLE
    from rich.table import Table

    rows = sorted(section["symbols"], key=lambda row: (-(row["rank"] or 0), row["symbol"]))
    place = next((i for i, row in enumerate(rows) if row["symbol"] == symbol), 0)
    first = max(0, min(place - SHOWN // 2, len(rows) - SHOWN))
    shown = rows[first : first + SHOWN]
    title = f"{len(shown)} of {len(rows)} symbols of this time"
    table = Table("rank", "symbol", "prediction", "decision", "weight", box=SIMPLE, title=title, title_justify="left")
    for row in shown:
        rank, weight = (row["rank"] or ""), ("" if row["weight"] is None else f"{row['weight']:g}")
        mark = " *" if row["symbol"] == symbol else ""
        table.add_row(str(rank), row["symbol"] + mark, _number(row["prediction"]), row["signal"], weight)
    return table


def _columns(explanation: "Explanation") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table("feature", "value at this bar", box=SIMPLE)
    table.columns[1].justify = "right"
    for name, value in explanation.columns.items():
        table.add_row(name, _number(value))
    return table


def _bars(explanation: "Explanation") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    bars = explanation.bars[-SHOWN:]
    title = f"the last {len(bars)} of {explanation.folded} bars"
    names = ["open", "high", "low", "close", "volume"]
    table = Table("offset", "close time", *names, box=SIMPLE, title=title, title_justify="left")
    for column in table.columns:
        column.justify = "right"
    for bar in bars:
        table.add_row(str(bar["offset"]), _time(bar["close_time"]), *(f"{bar[name]:.10g}" for name in names))
    return table


def _verdict(explanation: "Explanation") -> str:
    if explanation.reproduced:
        return "reproduced: what was published is what comes out, to the byte"
    parts = [difference_text(explanation.difference)] if explanation.difference else []
    return f"NOT reproduced: {'; '.join([*parts, *([explanation.fault] if explanation.fault else [])])}"


def difference_text(difference: "FirstDifference") -> str:
    return f"{difference.field}: told {difference.told!r}, recomputed {difference.recomputed!r}"


def _number(value: float | None) -> str:
    return "not known" if value is None else repr(value)


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
