"""The contract's arithmetic at its edges; what it adds up to is judged by `test_differential`."""

import math
import random
from fractions import Fraction
from typing import Any

import numba
import pytest
from numba.extending import register_jitable

from plugins.engines import contract


@pytest.mark.parametrize(
    ("amount", "lots"),
    [
        (2.999999, 2),
        (-2.999999, -2),
        (3.0 - 1e-12, 3),
        (-3.0 + 1e-12, -3),
        (0.0, 0),
        (1e-10, 0),
        (0.9999999999, 1),
        (-0.9999999999, -1),
        (1e8 - 1e-6, 100_000_000),
    ],
)
def test_whole_lots_forgives_the_last_bits_and_no_more(amount: float, lots: int) -> None:
    assert contract.whole_lots(amount) == lots


def test_whole_lots_forgives_at_the_largest_count_there_may_be() -> None:
    """Capital 1 / (lot value) is below 2**31; eight roundings off is still the same number."""
    most = 2.0**31
    assert contract.whole_lots(most * (1 - 8 * 2.0**-53)) == 2**31


@pytest.mark.parametrize(
    ("position", "order", "reducing"),
    [
        (0, 5, 0),
        (3, 5, 0),
        (3, -2, -2),
        (3, -3, -3),
        (3, -8, -3),
        (-3, -5, 0),
        (-3, 2, 2),
        (-3, 8, 3),
        (0, -5, 0),
        (3, 0, 0),
        (1, -1, -1),
        (1, -5, -1),
        (3, -1, -1),
        (-1, 1, 1),
        (-1, 5, 1),
        (-3, 1, 1),
    ],
)
def test_reducing_part(position: int, order: int, reducing: int) -> None:
    assert contract.reducing_lots(position, order) == reducing


def test_target_needs_equity() -> None:
    assert contract.target_lots(0.5, 1000.0, 10.0, 1.0) == 50
    assert contract.target_lots(-0.5, 1000.0, 10.0, 1.0) == -50
    assert contract.target_lots(0.5, 0.0, 10.0, 1.0) == contract.target_lots(-0.5, -10.0, 10.0, 1.0) == 0


def test_lots_and_sizes_stay_countable() -> None:
    """At most 2**53 lots, beyond which a float64 does not count one by one; forgiven are 1e-9 of a lot, and 2**-46."""
    assert contract.whole_lots(1e300) == contract.MOST_LOTS == 2**53
    assert contract.whole_lots(-1e300) == -(2**53)
    assert contract.SMALLEST_LOT == 1 / 2**31
    assert (contract.whole_lots(1 - 0.9e-9), contract.whole_lots(1 - 1.1e-9)) == (1, 0)
    most, share = 2.0**40, 2.0**-46
    assert (contract.whole_lots(most * (1 - share)), contract.whole_lots(most * (1 - 2 * share))) == (2**40, 2**40 - 1)


@pytest.mark.parametrize("order", [1, 3, -1, -3])
def test_a_fill_costs_more_and_brings_less_than_its_mark(order: int) -> None:
    """40 at 25 % slippage is 50 for a buy and 30 for a sale; 1/8 of 50 * 3 goes to the broker."""
    price = contract.slipped(40.0, order, 0.25)
    assert price == (50.0 if order > 0 else 30.0)
    paid = contract.fee(3.0 * order, price, 0.125)
    assert paid == 3 * abs(order) * price / 8
    assert contract.cash_after(1000.0, 3.0 * order, price, paid) == 1000 - 3 * order * price - paid


def test_no_target_without_equity_and_the_first_cent_of_it_counts() -> None:
    assert contract.target_lots(0.75, 0.5, 0.125, 1.0) == 3
    assert contract.target_lots(1.0, 0.0, 1.0, 1.0) == 0
    assert contract.target_lots(1.0, -0.5, 0.125, 1.0) == 0


def test_the_last_cents_buy_back_what_they_can() -> None:
    """4 lots of 0.125 for 0.5, and nothing on credit; equity below 0 takes nothing from cash, nor adds to it."""
    assert contract.coverable_lots(100, 0.0, 0.5, 0.125, 0.0, 1.0, 1.0) == 4
    assert contract.coverable_lots(100, 0.0, -0.5, 0.125, 0.0, 1.0, 1.0) == 0
    assert contract.coverable_lots(100, -4.0, 10.0, 1.0, 0.0, 3.0, 1.0) == 10


def test_a_single_lot_is_bought_at_what_it_costs() -> None:
    """2 shares marked 10 for 12 each leave 6 of 10, and twice that is less than their 20."""
    assert contract.openable_lots(1, 10.0, 10.0, 0.0, 10.0, 12.0, 0.0, 2.0, 2.0) == 0
    assert contract.openable_lots(1, 10.0, 10.0, 0.0, 10.0, 12.0, 0.0, 2.0, 1.0) == 1


def drawn(seed: int) -> dict[str, Fraction]:
    """Numbers that a float64 holds exactly, so that what is added and multiplied is exact in both."""
    rng = random.Random(seed)
    mark = Fraction(rng.randint(8, 800), 8)
    return {
        "equity": Fraction(rng.randint(-4000, 64_000), 8),
        "cash": Fraction(rng.randint(-32_000, 128_000), 8),
        "shorts": Fraction(rng.choice([0, 0, rng.randint(0, 32_000)]), 8),
        "mark": mark,
        "price": mark + Fraction(rng.randint(-4, 4), 8),
        "commission": Fraction(rng.choice([0, 1, 5]), 1024),
        "leverage": Fraction(rng.choice([2, 3, 4, 8]), 2),
        "lot": Fraction(rng.choice([1, 4, 8]), 4),
    }


def most_that(lots: int, allowed: Any) -> int:
    """Of 0 to `lots` the largest number of lots that is allowed."""
    return max((number for number in range(lots + 1) if number == 0 or allowed(number)), default=0)


def test_an_order_opens_what_keeps_the_exposure_within_the_leverage() -> None:
    """Against the rule itself, lot by lot, in exact fractions: gross exposure after the fill <= leverage * equity."""
    for seed in range(150):
        given = drawn(seed)
        for order in (1, -1, random.Random(-seed).choice([1, -1]) * random.Random(seed).randint(1, 300)):
            most = most_that(abs(order), lambda lots, order=order, given=given: within_leverage(lots, order, **given))
            found = contract.openable_lots(order, **{name: float(value) for name, value in given.items()})
            assert found == (most if order > 0 else -most), seed


def within_leverage(
    lots: int, order: int, *, equity: Fraction, cash: Fraction, shorts: Fraction, mark: Fraction, price: Fraction,
    commission: Fraction, leverage: Fraction, lot: Fraction,
) -> bool:  # fmt: skip
    size = lots * lot
    worth = size * mark
    if order > 0:
        equity_after = equity + worth - size * price * (1 + commission)
    else:
        equity_after = equity - worth + size * price * (1 - commission)
    longs = equity - cash + shorts
    return longs + shorts + worth <= leverage * equity_after


def test_a_short_is_bought_back_as_far_as_it_can_be_paid() -> None:
    for seed in range(150):
        given = drawn(seed)
        order = random.Random(seed).randint(1, 300)
        there = given["cash"] + (given["leverage"] - 1) * max(given["equity"], Fraction(0))
        each = given["price"] * (1 + given["commission"]) * given["lot"]
        names = ("equity", "cash", "price", "commission", "leverage", "lot")
        found = contract.coverable_lots(order, **{name: float(given[name]) for name in names})
        assert found == most_that(order, lambda lots, each=each, there=there: lots * each <= there), seed


CALLS = [
    (contract.whole_lots, (-1234.56,)),
    (contract.target_lots, (0.3, 100_000.0, 33.3, 1e-4)),
    (contract.reducing_lots, (-30, 70)),
    (contract.slipped, (10.0, -5, 0.0005)),
    (contract.fee, (-3.5, 10.0, 0.0005)),
    (contract.cash_after, (1000.0, 3.3, 10.01, 0.2)),
    (contract.coverable_lots, (70, 500.0, 900.0, 14.0, 0.001, 1.5, 0.01)),
    (contract.openable_lots, (-70_000, 500.0, 900.0, 100.0, 14.0, 13.9, 0.001, 1.5, 0.01)),
]


def test_every_function_compiles_and_gives_the_same_bits() -> None:
    """The vectorised engine runs these compiled, the other one as they are."""
    names = [
        name
        for name, value in vars(contract).items()
        if callable(value) and getattr(value, "__module__", "") == contract.__name__
    ]
    for name in names:
        register_jitable(getattr(contract, name))
    assert {function.__name__ for function, _ in CALLS} == {name for name in names if not name.startswith("_")}
    for function, arguments in CALLS:
        compiled = numba.njit(function)(*arguments)
        assert compiled == function(*arguments), function.__name__
        assert math.isfinite(compiled)
