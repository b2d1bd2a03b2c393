"""The step of the ledger: one row of bars, by the functions of `plugins.engines.contract`, compiled as it stands."""

from plugins.engines.account.book import NOT_WAITING, Book, Curve, Rows, Rules
from plugins.engines.contract import (
    cash_after,
    coverable_lots,
    fee,
    openable_lots,
    reducing_lots,
    slipped,
    target_lots,
)
from plugins.engines.results.frames import FOLLOWED, LIMIT, NO_CASH

PARTS = 2
"""Fills that one bar can bring at most: what reduces, and what opens."""
ROUNDING = 1e-9
"""Running totals are off by less than this share. Where that could decide on a lot, they are added up anew."""


def run_rows(rows: Rows, rules: Rules, book: Book, curve: Curve) -> None:
    """Row after row, from the first that is not done, until one might no longer find room for its fills."""
    while book.counts[0] < len(curve.cash):
        row = book.counts[0]
        bars = rows.first[row + 1] - rows.first[row]
        if max(book.counts[1], book.counts[2]) + PARTS * bars > len(book.fills):
            return
        step(rows, rules, book, row)
        curve.cash[row], curve.net[row] = book.cash[0], book.totals[0]
        book.counts[0] += 1


def step(rows: Rows, rules: Rules, book: Book, row: int) -> None:
    """What the contract says: fill, mark, decide; at this_close decide before."""
    if not rules.at_open:
        mark_closes(rows, rules, book, row)
    if rules.same_close:
        decide(rows, rules, book, row)
    fill_orders(rows, rules, book, row)
    if rules.at_open:
        mark_closes(rows, rules, book, row)
    else:
        sum_up(book)
    if not rules.same_close:
        decide(rows, rules, book, row)


def sum_up(book: Book) -> None:
    """Values of all positions, added in the order of the symbols, so that every engine gets the same bits."""
    net = shorts = 0.0
    for number in range(len(book.slots)):
        value = book.slots[number].value
        net += value
        shorts -= min(value, 0.0)
    book.totals[0], book.totals[1] = net, shorts


def mark_closes(rows: Rows, rules: Rules, book: Book, row: int) -> None:
    """Values what is held at this row's closes."""
    for bar in range(rows.first[row], rows.first[row + 1]):
        symbol = rows.symbol[bar]
        slot = book.slots[symbol]
        slot.mark = rows.close[bar]
        slot.value = slot.lots * rules.lots[symbol] * slot.mark
    sum_up(book)


def decide(rows: Rows, rules: Rules, book: Book, row: int) -> None:
    """Sizes from the equity and the close known now; a new order replaces one that waits, even by nothing."""
    begin, end = rows.decided_first[row], rows.decided_first[row + 1]
    if begin == end:
        return
    equity = book.cash[0] + book.totals[0]
    for place in range(begin, end):
        symbol, weight = rows.decided_symbol[place], rows.decided_weight[place]
        slot = book.slots[symbol]
        order = target_lots(weight, equity, slot.mark, rules.lots[symbol]) - slot.lots
        slot.decided = rows.number[row] if order != 0 else NOT_WAITING
        slot.weight, slot.ordered = weight, order


def fill_orders(rows: Rows, rules: Rules, book: Book, row: int) -> None:
    """Orders of the symbols that trade in this row: first what reduces, then what opens, each by symbol."""
    begin, end = rows.first[row], rows.first[row + 1]
    due = False
    for bar in range(begin, end):
        slot = book.slots[rows.symbol[bar]]
        if slot.decided != NOT_WAITING and rows.tradable[bar]:
            due = True
            reducing = reducing_lots(slot.lots, slot.ordered)
            slot.opening = slot.ordered - reducing
            if reducing != 0:
                trade(rules, book, rows.number[row], rows.symbol[bar], False, reducing, rows.price[bar])
    if not due:
        return
    for bar in range(begin, end):
        slot = book.slots[rows.symbol[bar]]
        if slot.decided != NOT_WAITING and rows.tradable[bar]:
            if slot.opening != 0:
                trade(rules, book, rows.number[row], rows.symbol[bar], True, slot.opening, rows.price[bar])
            slot.decided, slot.ordered, slot.opening = NOT_WAITING, 0, 0


def trade(rules: Rules, book: Book, row: int, symbol: int, opens: bool, wanted: int, mark: float) -> None:
    """One part of an order: cut, filled, and written down."""
    slot = book.slots[symbol]
    lots, reason = allowed_lots(rules, book, symbol, opens, wanted, mark)
    if lots != wanted:
        cut = book.cuts[book.counts[2]]
        cut.row, cut.symbol, cut.decided, cut.opens = row, symbol, slot.decided, opens
        cut.wanted, cut.filled, cut.reason = wanted, lots, reason
        book.counts[2] += 1
    if lots == 0:
        return
    lot = rules.lots[symbol]
    price = slipped(mark, lots, rules.slippage)
    paid = fee(lots * lot, price, rules.commission)
    book.cash[0] = cash_after(book.cash[0], lots * lot, price, paid)
    slot.lots += lots
    value = slot.lots * lot * slot.mark
    book.totals[0] += value - slot.value
    book.totals[1] += min(slot.value, 0.0) - min(value, 0.0)
    slot.value = value
    fill = book.fills[book.counts[1]]
    fill.row, fill.symbol, fill.decided, fill.opens = row, symbol, slot.decided, opens
    fill.lots, fill.mark, fill.price, fill.commission = lots, mark, price, paid
    fill.cash, fill.position = book.cash[0], slot.lots
    book.counts[1] += 1


def allowed_lots(rules: Rules, book: Book, symbol: int, opens: bool, wanted: int, mark: float) -> tuple[int, int]:
    """How many of the `wanted` lots the contract lets through at `mark`, and the reason if they are fewer."""
    held, lot = book.slots[symbol].lots, rules.lots[symbol]
    if not opens and wanted < 0:
        return wanted, LIMIT
    if opens and held != 0 and (held > 0) != (wanted > 0):
        return 0, FOLLOWED
    value = held * lot * mark
    value_before = book.slots[symbol].value
    net = book.totals[0] - value_before + value
    shorts = book.totals[1] + min(value_before, 0.0) - min(value, 0.0)
    margin = ROUNDING * (rules.leverage + 2.0) * (abs(book.cash[0]) + abs(net) + 2.0 * shorts)
    if affordable(rules, book.cash[0] + net, book.cash[0] - margin, shorts, opens, wanted, mark, lot) == wanted:
        return wanted, LIMIT
    net, shorts = exposure(book, symbol, value)
    lots = affordable(rules, book.cash[0] + net, book.cash[0], shorts, opens, wanted, mark, lot)
    return lots, LIMIT if opens else NO_CASH


def affordable(
    rules: Rules, equity: float, cash: float, shorts: float, opens: bool, wanted: int, mark: float, lot: float
) -> int:
    price = slipped(mark, wanted, rules.slippage)
    if opens:
        return openable_lots(wanted, equity, cash, shorts, mark, price, rules.commission, rules.leverage, lot)
    return coverable_lots(wanted, equity, cash, price, rules.commission, rules.leverage, lot)


def exposure(book: Book, symbol: int, value: float) -> tuple[float, float]:
    """Value of all positions and of the short ones (positive), with the one of `symbol` taken at `value`."""
    added = shorts = 0.0
    for number in range(len(book.slots)):
        one = value if number == symbol else book.slots[number].value
        added += one
        if one < 0.0:
            shorts -= one
    return added, shorts
