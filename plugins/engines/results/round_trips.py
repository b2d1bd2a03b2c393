"""Round trips out of fills, at average cost; compiled, since an engine may well give a million fills."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.fold.kernel import compile_function

TRIP = np.dtype(
    [
        ("symbol", "i8"), ("entry", "i8"), ("exit", "i8"), ("size", "f8"), ("entry_price", "f8"),
        ("exit_price", "f8"), ("commission", "f8"), ("pnl", "f8"),
    ], align=True
)  # fmt: skip
"""One round trip; `entry` and `exit` are rows, `size` is signed and in shares, `commission` is that of both ends."""
HOLDING = np.dtype([("lots", "i8"), ("price", "f8"), ("commission", "f8"), ("row", "i8")], align=True)
"""A position on its way: its average price, the commission not yet charged to a trip, the row of its first fill."""

Records = NDArray[np.void]
FloatArray = NDArray[np.float64]


def round_trips(fills: Records, lots: FloatArray) -> Records:
    """One trip for each fill that reduces a position; `fills` as in `plugins.engines.results.frames.FILL`, `lots` the
    shares in a lot of each symbol.
    """
    trips = np.zeros(int((~fills["opens"]).sum()), TRIP)
    holdings = np.zeros(len(lots), HOLDING)
    sizes = np.require(lots, requirements=["C", "W"])
    compile_function(walk, fills, trips, holdings, sizes)(fills, trips, holdings, sizes)
    return trips


def walk(fills: Any, trips: Any, holdings: Any, sizes: FloatArray) -> None:
    """Each fill in turn opens or closes a part of its symbol's holding."""
    count = 0
    for number in range(len(fills)):
        fill = fills[number]
        holding = holdings[fill.symbol]
        if fill.opens:
            enlarge(fill, holding)
        else:
            close(fill, holding, trips[count], sizes[fill.symbol])
            count += 1


def enlarge(fill: Any, holding: Any) -> None:
    """A larger position, at the average of its prices."""
    if holding.lots == 0:
        holding.row = fill.row
    total = holding.lots + fill.lots
    holding.price = (holding.price * holding.lots + fill.price * fill.lots) / total
    holding.commission += fill.commission
    holding.lots = total


def close(fill: Any, holding: Any, trip: Any, lot: float) -> None:
    """What `fill` takes out of `holding`, with its share of the commission paid on the way in."""
    entry_fee = holding.commission * (-fill.lots / holding.lots)
    size, commission = -fill.lots * lot, entry_fee + fill.commission
    trip.symbol, trip.entry, trip.exit, trip.size = fill.symbol, holding.row, fill.row, size
    trip.entry_price, trip.exit_price, trip.commission = holding.price, fill.price, commission
    trip.pnl = size * (fill.price - holding.price) - commission
    holding.commission -= entry_fee
    holding.lots += fill.lots
    if holding.lots == 0:
        holding.price = holding.commission = 0.0
