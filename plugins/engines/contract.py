"""The execution contract of a backtest, as functions of plain numbers: the same code for every engine.

No frames, no objects, nothing but arithmetic, so that numba can compile each function as it stands and plain Python
can call it. An engine keeps its own cash and positions and asks here *how many* lots it may trade and *what that
costs*.

The rules, exactly:

- **Lots.** Positions and orders are whole numbers of lots; ``size = lots * lot``.
- **Decision.** A signal on a bar's close with weight `w` aims at `target_lots`: ``w * equity / (close * lot)``,
  rounded toward zero. The order is that minus the position, and is never rounded again. Without equity every target
  is 0.
- **Fill.** At the mark of the chosen price (the bar's open, or its close), worsened by `slippage`; `commission` on
  the notional.
- **Order of fills at one time.** First every part of an order that reduces a position, then every part that opens or
  enlarges one (`reducing_lots` splits a flip), each by symbol.
- **Cut at the fill.** After the fill gross exposure may be at most ``leverage * equity``, the symbol itself at its
  mark (the open, for ``next_open``), all others at their last close. Selling what one has is never cut; buying back a
  short is cut only by what can be paid for. What is cut is dropped, and if the reducing part of a flip was cut, its
  opening part is dropped too.
"""

import math

ABSOLUTE_TOLERANCE = 1e-9
"""Of a lot: what `whole_lots` forgives besides its relative tolerance."""
RELATIVE_TOLERANCE = 2.0**-46
"""Some sixty roundings of a float64: exactly 3 lots stay 3 lots however the equity was added up."""
MOST_LOTS = 2.0**53
"""Beyond it a float64 no longer counts one by one; a size is never larger."""
SMALLEST_LOT = 2.0**-31
"""A lot must be worth more than this share of the capital, or float64 cannot count lots."""


def whole_lots(amount: float) -> int:
    """`amount` (in lots) rounded toward zero, after forgiving the last bits.

    Notes
    -----
    ``sign(a) * floor(abs(a) * (1 + 2**-46) + 1e-9)``, at most `MOST_LOTS`.
    """
    lots = math.floor(min(abs(amount) * (1.0 + RELATIVE_TOLERANCE) + ABSOLUTE_TOLERANCE, MOST_LOTS))
    return lots if amount > 0.0 else -lots


def target_lots(weight: float, equity: float, close: float, lot: float) -> int:
    """Position, in lots, that a target weight means at the decision; 0 when there is no equity."""
    if equity <= 0.0:
        return 0
    return whole_lots(weight * equity / (close * lot))


def reducing_lots(position: int, order: int) -> int:
    """The part of `order` (signed lots) that takes `position` towards zero; the rest opens or enlarges."""
    if position > 0 and order < 0:
        return max(order, -position)
    if position < 0 and order > 0:
        return min(order, -position)
    return 0


def slipped(mark: float, order: int, slippage: float) -> float:
    """Price of a fill: `mark` worsened by the fraction `slippage`, up for a buy and down for a sale."""
    return mark * (1.0 + slippage) if order > 0 else mark * (1.0 - slippage)


def fee(size: float, price: float, commission: float) -> float:
    """Commission in money: a fraction of the notional."""
    return abs(size) * price * commission


def cash_after(cash: float, size: float, price: float, paid: float) -> float:
    """Cash after `size` (signed, in shares) was filled at `price`, and the commission `paid`."""
    return cash - size * price - paid


def coverable_lots(
    order: int, equity: float, cash: float, price: float, commission: float, leverage: float, lot: float
) -> int:
    """Lots of a buy-back of `order` lots that can be paid for.

    Notes
    -----
    Each costs ``price * (1 + commission)``; there is ``cash + (leverage - 1) * max(equity, 0)``.
    """
    room = cash + (leverage - 1.0) * max(equity, 0.0)
    return _at_most(order, room, price * (1.0 + commission), lot)


def openable_lots(
    order: int,
    equity: float,
    cash: float,
    shorts: float,
    mark: float,
    price: float,
    commission: float,
    leverage: float,
    lot: float,
) -> int:
    """Lots of an opening or enlarging `order` that the limit ``gross exposure <= leverage * equity`` allows.

    `equity`, `cash` and `shorts` (value of the short positions, positive) are those before the fill, the symbol
    itself at its `mark`.

    Notes
    -----
    With longs ``equity - cash + shorts``, the room is ``leverage * equity - gross = (leverage - 1) * equity + cash -
    2 * shorts``. A share adds ``mark`` to the exposure and takes from the equity what it costs beyond its mark: for a
    buy ``price * (1 + commission) - mark``, for a short sale ``mark - price * (1 - commission)``.
    """
    room = (leverage - 1.0) * equity + cash - 2.0 * shorts
    loss = price * (1.0 + commission) - mark if order > 0 else mark - price * (1.0 - commission)
    return _at_most(order, room, mark + leverage * loss, lot)


def _at_most(order: int, room: float, unit_cost: float, lot: float) -> int:
    if room <= 0.0:
        return 0
    lots = min(abs(order), whole_lots(room / (unit_cost * lot)))
    return lots if order > 0 else -lots
