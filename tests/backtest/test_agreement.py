"""What is said of two engines that agree, and of those that do not."""

import re
from typing import Any

import pandas as pd
import pytest

from backtest.report.agreement import agreements

TIMES = pd.date_range("2024-01-02", periods=3, tz="UTC", name="time")


def result(equity: list[float], sizes: list[float] | None, times: pd.DatetimeIndex = TIMES) -> dict[str, Any]:
    found: dict[str, Any] = {"equity_curve": pd.DataFrame({"equity": equity}, index=times)}
    if sizes is not None:
        found["fills"] = pd.DataFrame({"bar": TIMES[1], "symbol": "A", "part": "open", "size": sizes})
    return found


SAME = result([1000.0, 1010.0, 1020.0], [5.0, 2.0])


@pytest.mark.parametrize(
    ("other", "agree", "difference", "text"),
    [
        (SAME, True, 0.0, "one and two agree: the same 2 fills, identical equity"),
        (result([1000.0, 1010.0, 1020.000001], [5.0, 2.0]), True, 1e-9, "one and two agree: .* at most 9.8e-10 of it"),
        (
            result([1000.0, 1010.0, 1071.0], [5.0, 2.0]),
            False,
            51 / 1071,
            "disagree: .* up to 0.0476 of it; at 2024-01-04 .* 1020 and 1071",
        ),
        (
            result([1000.0, 1010.0, 1020.0], [5.0, -2.0]),
            False,
            0.0,
            "disagree: .* up to 0 of it; fill 2 is 2 of A on the bar of 2024-01-03 .* and -2 of A",
        ),
        (result([1000.0, 1010.0, 1020.0], [5.0]), False, 0.0, "disagree: .*; 2 and 1 fills"),
        (result([1000.0, float("nan"), 1020.0], [5.0, 2.0]), False, None, "disagree: .* up to inf of it"),
        (result([1000.0, 1010.0], [5.0, 2.0], TIMES[:2]), False, None, "disagree: their equity is of different times"),
        (result([1000.0, 1010.0, 1020.0], None), True, 0.0, "one and two agree: identical equity$"),
    ],
)
def test_two_engines(other: dict[str, Any], agree: bool, difference: float | None, text: str) -> None:
    (found,) = agreements({"one": SAME, "two": other}, 1000.0)
    assert found.engines == ("one", "two")
    assert found.agree is agree
    assert found.difference == (difference if difference is None else pytest.approx(difference, rel=0.05))
    assert re.search(text, found.text), found.text


def test_one_engine_agrees_with_itself_without_words() -> None:
    assert agreements({"one": SAME}, 1000.0) == []
    assert [found.engines for found in agreements({"one": SAME, "two": SAME, "three": SAME}, 1000.0)] == [
        ("one", "two"),
        ("one", "three"),
    ]
