"""The contract's arithmetic at its edges; what it adds up to is judged by `test_differential`."""

import math

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
    ],
)
def test_reducing_part(position: int, order: int, reducing: int) -> None:
    assert contract.reducing_lots(position, order) == reducing


def test_target_needs_equity() -> None:
    assert contract.target_lots(0.5, 1000.0, 10.0, 1.0) == 50
    assert contract.target_lots(-0.5, 1000.0, 10.0, 1.0) == -50
    assert contract.target_lots(0.5, 0.0, 10.0, 1.0) == contract.target_lots(-0.5, -10.0, 10.0, 1.0) == 0


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
