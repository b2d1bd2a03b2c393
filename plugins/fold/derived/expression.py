"""A column that is computed of others by an expression: ``rsi / rsi.lag1``; compiled once for all expressions.

>>> import numpy as np
>>> from plugins.base.bars import bar_dtype
>>> ratio = Expression(name="ratio", text="where(rsi > 50, 1 / (rsi - 60), -1)")
>>> bars, outs = np.zeros(4, bar_dtype(ratio.requires)), np.empty((4, 1))
>>> bars[ratio.requires[0]] = 40.0, 62.0, 60.0, np.nan
>>> ratio.run(ratio.new_states(1), np.zeros(4, np.int64), bars, outs)
>>> outs[:, 0].tolist()
[-1.0, 0.5, nan, nan]
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.base import BaseFeature, FloatArray
from plugins.base.bars import BAR, with_columns
from plugins.base.streaming import Rows, layout_of
from plugins.fold.derived.grammar import parsed
from plugins.fold.derived.lags import BEFORE, numbered
from plugins.fold.kernel import compile_function
from schemas.errors import ConfigurationError


class Expression(BaseFeature):
    """The column `name`, by an expression over columns, which it requires.

    Parameters
    ----------
    name
        Of the column.
    text
        ``+ - * /``, comparisons (1 or 0), brackets, ``min``, ``max``, ``abs``, ``log``, ``where(condition, then,
        else)``, numbers, names of columns; one that is no name in backticks.

    Notes
    -----
    Float64, as written, from left to right. What is not known makes unknown what it is a part of: NaN, also in
    comparisons, ``min`` and ``max``; of ``where`` only what is chosen. What is not finite is not known, at each step: a
    quotient by 0, the logarithm of what is not above 0.

    Raises
    ------
    ConfigurationError
        That names the character of the mistake.
    """

    key, version, cost = "expr", "1", "compiled"
    reads: tuple[str, ...] = ()
    warmup = 0
    state_dtype = np.dtype([("none", "?")])

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.program = parsed(params["text"])
        self._refuse_zeros()
        self.requires = tuple(map(numbered, range(len(self.program.columns))))  # type: ignore[misc]
        self.columns = (params["name"],)
        self.key = f"expr.{params['name']}"  # type: ignore[misc]
        self._steps = np.array(self.program.steps, np.int64)
        self._constants = np.array(self.program.constants, np.float64)

    def _refuse_zeros(self) -> None:
        for place, first, last in self.program.divisors:
            if evaluated(self.program.steps[first:last], self.program.constants) == 0.0:
                raise ConfigurationError(f"character {place}: a division by zero")

    @property
    def plugin(self) -> BaseFeature:
        return self

    @property
    def layout(self) -> str:
        return layout_of(self, self.state_dtype)

    def new_states(self, count: int) -> Rows:
        return np.zeros(count, self.state_dtype)

    def prepare(self) -> None:
        _compiled()

    def of(self, columns: Sequence[FloatArray]) -> FloatArray:
        """Of rows of these columns, which are those of the program."""
        bars = with_columns(np.zeros(len(columns[0]), BAR), self.requires, columns)
        outs = np.empty((len(bars), 1))
        self.run(self.new_states(1), np.zeros(len(bars), np.int64), bars, outs)
        return outs[:, 0]

    def run(self, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
        values = np.ndarray((len(bars), BEFORE + len(self.requires)), np.float64, np.ascontiguousarray(bars))
        _compiled()(self._steps, self._constants, values, np.empty(len(self._steps)), outs)


def known(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def binary(code: int, left: float, right: float) -> float:
    """Of what is known."""
    if math.isnan(left) or math.isnan(right):
        return math.nan
    if code == 2:
        return known(left + right)
    if code == 3:
        return known(left - right)
    if code == 4:
        return known(left * right)
    if code == 5:
        return known(left / right) if right != 0.0 else math.nan
    if code == 13:
        return right if right < left else left
    if code == 14:
        return right if right > left else left
    holds = (
        (code == 6 and left < right) or (code == 7 and left <= right) or (code == 8 and left > right)
        or (code == 9 and left >= right) or (code == 10 and left == right) or (code == 11 and left != right)
    )  # fmt: skip
    return 1.0 if holds else 0.0


def chosen(condition: float, then: float, other: float) -> float:
    if math.isnan(condition):
        return math.nan
    return then if condition != 0.0 else other


def unary(code: int, value: float) -> float:
    if code == 12:
        return -value
    if code == 15:
        return abs(value)
    return math.log(value) if value > 0.0 else math.nan


def _evaluate(steps: Any, constants: Any, values: Any, stack: Any, outs: Any) -> None:
    for i in range(len(values)):
        top = -1
        for step in range(len(steps)):
            code = steps[step, 0]
            if code < 2:
                top += 1
                stack[top] = constants[steps[step, 1]] if code == 0 else known(values[i, BEFORE + steps[step, 1]])
            elif code == 17:
                top -= 2
                stack[top] = chosen(stack[top], stack[top + 1], stack[top + 2])
            elif code == 12 or code == 15 or code == 16:
                stack[top] = unary(code, stack[top])
            else:
                top -= 1
                stack[top] = binary(code, stack[top], stack[top + 1])
        outs[i, 0] = stack[0]


def evaluated(steps: Sequence[tuple[int, int]], constants: Sequence[float]) -> float:
    """Of steps over constants alone, not compiled."""
    outs = np.empty((1, 1))
    _evaluate(np.array(steps, np.int64), np.array(constants), np.empty((1, BEFORE)), np.empty(len(steps)), outs)
    return float(outs[0, 0])


@cache
def _compiled() -> Any:
    return compile_function(
        _evaluate, np.zeros((1, 2), np.int64), np.zeros(1), np.zeros((1, 1)), np.zeros(1), np.zeros((2, 2))[:, :1]
    )
