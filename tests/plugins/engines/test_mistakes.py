"""Mistakes put back into all engines on purpose: each is found by a few of the scenarios.

The compiled loops run as the plain Python that they are written in, so that a part can be exchanged.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from comparison import book_of, difference, shrunk, table
from scenarios import Scenario, scenario

from plugins.engines import contract, engine_registry
from plugins.engines.account import account, step
from plugins.engines.results import round_trips

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")
pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")

SEEDS = [*range(15), 37, 50]
"""In the last two a buy-back is cut."""
Patch = pytest.MonkeyPatch
Mistake = Callable[[Patch], None]


@cache
def known(seed: int) -> tuple[Scenario, Any]:
    case = scenario(seed)
    return case, book_of(case)


def found(engine: str, **rules: Any) -> str | None:
    """The first difference that the scenarios show."""
    for seed in SEEDS:
        case, book = known(seed)
        done = engine_registry.create(engine, **case.rules | rules).run(case.prices, case.signals)
        if said := difference(case, book, done):
            return said
    return None


@pytest.fixture(params=["ledger", "backtrader", "vectorbt"])
def engine(request: pytest.FixtureRequest, monkeypatch: Patch) -> str:
    """The engine's key; its loops are not compiled."""
    from plugins.engines import _executed

    monkeypatch.setattr(account, "compile_function", _plain)
    monkeypatch.setattr(_executed, "compile_function", _plain)
    monkeypatch.setattr(round_trips, "compile_function", _plain)
    return str(request.param)


def _plain(function: Callable[..., None], *_: Any) -> Callable[..., None]:
    def run(*arguments: Any) -> None:
        function(*(_readable(argument) for argument in arguments))

    return run


def _readable(argument: Any) -> Any:
    """Records whose fields are attributes, as the compiled code sees them."""
    if isinstance(argument, tuple):
        return type(argument)(*map(_readable, argument))
    if isinstance(argument, np.ndarray) and argument.dtype.names:
        return argument.view(np.recarray)
    return argument


def test_plain_and_compiled_give_the_same_bits(engine: str, monkeypatch: Patch) -> None:
    plain = [_frames(engine, seed) for seed in SEEDS[:3]]
    monkeypatch.undo()
    for one, other in zip(plain, [_frames(engine, seed) for seed in SEEDS[:3]], strict=True):
        assert all(one[name].equals(other[name]) for name in one)


def _frames(engine: str, seed: int) -> dict[str, Any]:
    case, _ = known(seed)
    done = engine_registry.create(engine, **case.rules).run(case.prices, case.signals)
    return {name: done[name] for name in ("fills", "cuts", "trades", "pending", "positions", "equity_curve")}


def test_without_a_mistake_nothing_is_found(engine: str) -> None:
    assert found(engine) is None


def test_fill_at_the_close_that_decided(engine: str) -> None:
    assert found(engine, price="this_close", i_know_this_looks_ahead=True)


def no_fee_on_sales(patch: Patch) -> None:
    from plugins.engines import _cerebro, _executed

    patch.setattr(step, "fee", lambda size, price, commission: max(size, 0.0) * price * commission)
    order = _executed.order_nb
    patch.setattr(
        _executed,
        "order_nb",
        lambda size, price, fees, slippage: order(size, price, fees=fees * (size > 0), slippage=slippage),
    )
    commission = _cerebro.LotCommission._getcommission
    patch.setattr(
        _cerebro.LotCommission,
        "_getcommission",
        lambda self, size, price, pseudoexec: commission(self, size, price, pseudoexec) * (size > 0),
    )


def no_shorts(patch: Patch) -> None:
    _exchange(patch, "target_lots", lambda real: lambda *given: max(real(*given), 0))


def averaged_twice(patch: Patch) -> None:
    enlarge = round_trips.enlarge

    def twice(fill: Any, holding: Any) -> None:
        enlarge(fill, holding)
        holding.price = (holding.price + fill.price) / 2

    patch.setattr(round_trips, "enlarge", twice)


def lost_on_a_missing_bar(patch: Patch) -> None:
    from plugins.engines import _cerebro

    fill, send = step.fill_orders, _cerebro.Trader._send

    def fill_orders(rows: Any, rules: Any, book: Any, row: int) -> None:
        fill(rows, rules, book, row)
        book.slots["decided"] = -1

    def send_and_forget(trader: Any) -> None:
        send(trader)
        trader.waiting.clear()

    patch.setattr(step, "fill_orders", fill_orders)
    patch.setattr(_cerebro.Trader, "_send", send_and_forget)


def nothing_is_cut(patch: Patch) -> None:
    _exchange(patch, "openable_lots", lambda real: lambda order, *given: order)


def shorts_bought_back_on_credit(patch: Patch) -> None:
    _exchange(patch, "coverable_lots", lambda real: lambda order, *given: order)


def flips_in_one_piece(patch: Patch) -> None:
    _exchange(patch, "reducing_lots", lambda real: lambda position, order: 0)


def rounded_to_the_nearest_lot(patch: Patch) -> None:
    patch.setattr(contract, "whole_lots", round)


def _exchange(patch: Patch, name: str, change: Callable[[Any], Any]) -> None:
    """A function of the contract, in all engines."""
    changed = change(getattr(contract, name))
    patch.setattr(contract, name, changed)
    patch.setattr(step, name, changed)


MISTAKES = [
    no_fee_on_sales, no_shorts, averaged_twice, lost_on_a_missing_bar, nothing_is_cut, shorts_bought_back_on_credit,
    flips_in_one_piece, rounded_to_the_nearest_lot,
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_mistake_is_found(mistake: Mistake, engine: str, monkeypatch: Patch) -> None:
    mistake(monkeypatch)
    assert found(engine)


def test_what_differs_is_shrunk_to_a_few_bars(monkeypatch: Patch) -> None:
    lost_on_a_missing_bar(monkeypatch)

    def differs(case: Scenario) -> str | None:
        done = engine_registry.create("backtrader", **case.rules).run(case.prices, case.signals)
        return difference(case, book_of(case), done)

    case = next(case for case, _ in map(known, SEEDS) if differs(case))
    small = shrunk(case, differs)
    assert differs(small)
    assert len(small.prices) <= 4, table(small)
    assert len(small.signals) == 1
    assert table(small).count("\n") == len(small.prices) + 2
