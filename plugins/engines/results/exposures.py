"""What was held after each row, long and short; compiled, since a market may have millions of bars."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.engines.market import FloatArray, IntArray, Market
from plugins.fold.kernel import compile_function


def exposures(market: Market, fills: NDArray[np.void]) -> tuple[FloatArray, FloatArray]:
    """Value of the long positions after each row, at their last closes, and of the short ones (negative)."""
    after = np.searchsorted(fills["row"], np.arange(len(market.times)), side="right")
    positions = np.zeros((3, len(market.symbols)))
    positions[0] = market.lots
    out = np.empty((2, len(market.times)))
    given = [market.first, market.symbol, market.close, after, fills, positions, out]
    given = [np.require(array, requirements=["C", "W"]) for array in given]
    compile_function(walk, *given)(*given)
    return out[0], out[1]


def walk(
    first: IntArray, symbols: IntArray, closes: FloatArray, after: IntArray, fills: Any, positions: FloatArray,
    out: FloatArray,
) -> None:  # fmt: skip
    """`positions`: by symbol the shares in a lot, the last close, and the shares held."""
    done = 0
    for row in range(len(after)):
        for bar in range(first[row], first[row + 1]):
            positions[1, symbols[bar]] = closes[bar]
        while done < after[row]:
            fill = fills[done]
            positions[2, fill.symbol] = fill.position * positions[0, fill.symbol]
            done += 1
        held, owed = 0.0, 0.0
        for number in range(positions.shape[1]):
            value = positions[1, number] * positions[2, number]
            if value > 0.0:
                held += value
            else:
                owed += value
        out[0, row], out[1, row] = held, owed
