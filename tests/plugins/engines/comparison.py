"""An engine's result against the ledger's book, the smallest scenario that still differs, and how to look at it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from ledger import Book, Ledger
from scenarios import Scenario

Differs = Callable[[Scenario], str | None]
EXACT = 1e-8
"""Of the larger of capital and equity."""


def book_of(case: Scenario) -> Book:
    return Ledger(case.prices, case.signals, case.rules).run()


def difference(case: Scenario, book: Book, done: dict[str, Any]) -> str | None:
    """The first thing in which an engine's result is not the ledger's; None: they agree."""
    for name, expected, found in _whole(book, done, case.lot):
        if found != expected:
            place = next(
                (i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
                min(len(expected), len(found)),
            )
            return f"{name} {place}: {found[place : place + 1]}, the ledger has {expected[place : place + 1]}"
    money = np.maximum(case.rules["capital"], np.abs(_floats(book.equity)))
    for name, expected, found, scale in _measured(book, done, money):
        if len(expected) and not (distance := np.abs(found - expected) <= EXACT * scale).all():
            place = int(np.argmin(distance))
            return f"{name} {place}: {found[place]!r}, the ledger has {expected[place]!r}"
    return None


def _whole(book: Book, done: dict[str, Any], lot: Callable[[str], float]) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """What must be equal: (name, the ledger's, the engine's)."""
    yield (
        "fill",
        [(fill.bar, fill.symbol, fill.part, fill.lots) for fill in book.fills],
        [
            (fill.bar, fill.symbol, fill.part, round(fill.size / lot(fill.symbol)))
            for fill in done["fills"].itertuples()
        ],
    )
    yield (
        "cut",
        book.cuts,
        [
            (x.bar, x.symbol, x.part, round(x.wanted / lot(x.symbol)), round(x.filled / lot(x.symbol)))
            for x in done["cuts"].itertuples()
        ],
    )
    pending = [(x.symbol, x.signal_time, round(x.size / lot(x.symbol))) for x in done["pending"].itertuples()]
    yield "pending order", book.pending, pending
    small = done["below_lot"]
    yield "decision below a lot", book.below_lot, list(zip(small["symbol"], small["signal_time"], strict=True))
    yield (
        "trade",
        [(symbol, since, until, abs(lots), own) for (symbol, since, until, lots, own), _ in book.trades],
        [_trade(trade, lot) for trade in done["trades"].itertuples()],
    )
    held = done["positions"]
    yield (
        "positions after bar",
        [[lots.get(symbol, 0) for symbol in held.columns] for lots in book.positions],
        (held / [lot(symbol) for symbol in held.columns]).round().astype(int).to_numpy().tolist(),
    )


def _trade(trade: Any, lot: Callable[[str], float]) -> tuple[Any, ...]:
    return trade.symbol, trade.entry_time, trade.exit_time, round(trade.size / lot(trade.symbol)), trade.bars


def _measured(book: Book, done: dict[str, Any], money: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """What may differ by `EXACT` times a scale: (name, the ledger's, the engine's, scale)."""
    fills, trades, curve = done["fills"], done["trades"], done["equity_curve"]
    yield "cash after bar", _floats(book.cash), curve["cash"].to_numpy(), money
    yield "equity after bar", _floats(book.equity), curve["equity"].to_numpy(), money
    price = _floats([fill.price for fill in book.fills])
    yield "price of fill", price, fills["price"].to_numpy(), price
    most = float(money.max())
    yield "cash after fill", _floats([fill.cash for fill in book.fills]), fills["cash"].to_numpy(), most
    for place, name in enumerate(("entry_price", "exit_price", "commission", "pnl")):
        expected = _floats([numbers[place] for _, numbers in book.trades])
        yield f"{name} of trade", expected, trades[name].to_numpy(), np.abs(expected) if place < 2 else most


def _floats(values: list[Fraction]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(value) for value in values])


def shrunk(case: Scenario, differs: Differs) -> Scenario:
    """A part of `case` that still differs, and from which no symbol, bar or signal can be left out."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _parts(case):
            if len(candidate.prices) and differs(candidate):
                case, smaller = candidate, True
                break
    return case


def _parts(case: Scenario) -> Iterator[Scenario]:
    """`case` without a symbol, without the half or less of its bars, without a half or less of its signals."""
    prices, signals = case.prices, case.signals
    symbols = prices.index.get_level_values("symbol")
    for symbol in symbols.unique():
        yield _with(case, prices[symbols != symbol])
    for frame in (prices, signals):
        for begin, end in _ranges(len(frame)):
            rest = pd.concat([frame.iloc[:begin], frame.iloc[end:]])
            yield _with(case, rest) if frame is prices else replace(case, signals=rest)


def _with(case: Scenario, prices: pd.DataFrame) -> Scenario:
    return replace(case, prices=prices, signals=case.signals[case.signals.index.isin(prices.index)])


def _ranges(count: int) -> Iterator[tuple[int, int]]:
    """Halves, quarters, …, single rows."""
    length = count // 2
    while length:
        yield from ((begin, begin + length) for begin in range(0, count, length))
        length //= 2


def table(case: Scenario) -> str:
    """Bars and signals beside each other, and the rules."""
    both = case.prices.join(case.signals.rename(columns=lambda name: f"says {name}"))
    return f"scenario {case.seed}, {case.rules}\n{both.to_string()}"
