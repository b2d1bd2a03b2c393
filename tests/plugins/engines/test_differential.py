"""All engines against the ledger in exact fractions, over seeded scenarios: the same fills, the same money to 1e-8.

A scenario that differs is shrunk, and shown as a table.
"""

from collections import Counter
from typing import Any

import pandas as pd
import pytest
from comparison import book_of, difference, shrunk, table
from scenarios import Scenario, scenario

from plugins.engines import engine_registry
from schemas.errors import AlphawireError

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")
pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")

ENGINES = ("ledger", "backtrader", "vectorbt")
FEW, ALL = 80, 500
SLICE = 50
MINUTE = pd.Timedelta("1min")


def run(engine: str, case: Scenario) -> dict[str, Any]:
    return engine_registry.create(engine, **case.rules).run(case.prices, case.signals)


def differs(engine: str, case: Scenario) -> str | None:
    """How `engine` differs from the ledger; a scenario that shrinking made unusable does not count."""
    try:
        done = run(engine, case)
    except AlphawireError:
        return None
    return difference(case, book_of(case), done)


def check(seed: int) -> None:
    case = scenario(seed)
    book = book_of(case)
    for engine in ENGINES:
        if difference(case, book, run(engine, case)):
            small = shrunk(case, lambda part, engine=engine: differs(engine, part))  # type: ignore[misc]
            pytest.fail(f"{engine}: {differs(engine, small)}\n{table(small)}", pytrace=False)


@pytest.mark.parametrize("seed", range(FEW))
def test_engines_equal_the_ledger(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, ALL, SLICE))
def test_engines_equal_the_ledger_in_five_hundred(first: int) -> None:
    for seed in range(first, min(first + SLICE, ALL)):
        check(seed)


def test_the_few_cover_what_they_should() -> None:
    """A comparison of nothing would be green too."""
    seen = coverage(FEW)
    assert min(seen.values()) >= 3, seen
    assert seen["fills"] > 1000
    assert set(seen) >= WANTED, WANTED - set(seen)


WANTED = {
    "next_open", "next_close", "this_close", "cuts of what opens", "cuts of what reduces", "cuts after a cut", "short",
    "flip", "pending", "equity gone", "tiny price", "huge price", "no volume", "some volume is 0", "order over a gap",
    "several symbols fill at one time", "commission", "slippage", "free", "signal", "weight", "long_only", "leverage",
    "less than all", "always", "on_change", "whole shares", "late start", "early end", "trades",
    "lots by symbol", "a symbol without volume", "below a lot",
}  # fmt: skip


def coverage(count: int) -> Counter[str]:
    """How many scenarios (of fills, cuts, trades: how many of them) are of a kind."""
    seen: Counter[str] = Counter()
    for seed in range(count):
        case = scenario(seed)
        book, rules, prices = book_of(case), case.rules, case.prices
        seen["fills"] += len(book.fills)
        seen["trades"] += len(book.trades)
        seen["pending"] += len(book.pending)
        seen.update({"cuts of what opens": sum(cut[2] == "open" for cut in book.cuts)})
        seen.update({"cuts of what reduces": sum(cut[2] == "reduce" for cut in book.cuts)})
        seen.update({"cuts after a cut": sum(cut[2] == "open" and cut[4] == 0 for cut in book.cuts)})
        seen.update({"flip": _flips(book), "order over a gap": _gaps(case, book)})
        bars = Counter(prices.index.get_level_values("time"))
        ends = [some.index.get_level_values("time") for _, some in prices.groupby(level="symbol")]
        volume = prices["volume"]
        for name, holds in {
            rules["price"]: True,
            rules["rebalance"]: True,
            case.signals.columns[0]: True,
            "short": any(lots < 0 for held in book.positions for lots in held.values()),
            "equity gone": any(equity <= 0 for equity in book.equity),
            "tiny price": prices["close"].min() < 0.01,
            "huge price": prices["close"].max() > 1e5,
            "no volume": volume.max() == 0,
            "some volume is 0": volume.min() == 0 < volume.max(),
            "several symbols fill at one time": max(Counter(fill.bar for fill in book.fills).values(), default=0) > 2,
            "commission": rules["commission"] > 0,
            "slippage": rules["slippage"] > 0,
            "free": rules["commission"] == rules["slippage"] == 0,
            "long_only": rules["long_only"],
            "leverage": rules["leverage"] > 1,
            "less than all": rules["leverage"] < 1,
            "whole shares": rules["lot"] == 1.0,
            "lots by symbol": isinstance(rules["lot"], dict),
            "a symbol without volume": 0 < (volume.groupby(level="symbol").max() == 0).mean() < 1,
            "below a lot": bool(book.below_lot),
            "late start": any(times.min() > min(bars) for times in ends),
            "early end": any(times.max() < max(bars) for times in ends),
        }.items():
            seen[name] += bool(holds)
    return seen


def _flips(book: Any) -> int:
    reduced = {(fill.bar, fill.symbol) for fill in book.fills if fill.part == "reduce"}
    return sum(fill.part == "open" and (fill.bar, fill.symbol) in reduced for fill in book.fills)


def _gaps(case: Scenario, book: Any) -> int:
    """Fills of a symbol that had no bar the minute before."""
    here = set(case.prices.index)
    starts = case.prices.reset_index().groupby("symbol")["time"].min()
    return sum((fill.bar - MINUTE, fill.symbol) not in here and fill.bar > starts[fill.symbol] for fill in book.fills)
