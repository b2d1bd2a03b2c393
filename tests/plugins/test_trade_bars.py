"""Bars from trades: against pandas' resample, twenty plain lines, exact fractions, and themselves after a restart."""

import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from plugins.fold.trades.builder import BarBuilder
from plugins.fold.trades.kinds import BarKind, TimeRules
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire.trades import Tick, Trade, decode_trade

MINUTE = 60_000
START = 1_700_000_000_000 // MINUTE * MINUTE


def random_trades(count: int, seed: int = 1, symbols: int = 3, pause: int = 20_000) -> list[Trade]:
    chance = random.Random(seed)
    time, prices = START, [100.0] * symbols
    trades = []
    for number in range(count):
        time += chance.choice([0, 1, 700, chance.randrange(pause)])
        symbol = chance.randrange(symbols)
        prices[symbol] = round(max(1.0, prices[symbol] + chance.choice([-0.01, 0.0, 0.01])), 2)
        trades.append(Trade(f"S{symbol}", time, prices[symbol], chance.randrange(1, 500) / 100, str(number)))
    return trades


def bars_of(kind: str, trades: list[Trade], **settings: int) -> list[tuple]:
    builder = BarBuilder(BarKind.of(kind), TimeRules(**settings))
    return [as_tuple(one.bar) for offset, trade in enumerate(trades) for one in builder.feed(trade, offset)]


def as_tuple(bar) -> tuple:
    return bar.symbol, bar.open_time, bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_time_bars_are_those_of_pandas(interval):
    trades = random_trades(5_000)
    ticks = [Tick(f"S{number}", trades[-1].time + 2 * 3_600_000) for number in range(3)]
    frame = pd.DataFrame({name: [getattr(trade, name) for trade in trades] for name in ("symbol", "price", "size")})
    frame.index = pd.to_datetime([trade.time for trade in trades], unit="ms", utc=True)
    bars = bars_of(interval, trades + ticks)
    for symbol, own in frame.groupby("symbol"):
        rule = interval.replace("m", "min")
        wanted = own.price.resample(rule, closed="left", label="left").ohlc().dropna()
        volume = own["size"].resample(rule, closed="left", label="left").sum()[wanted.index]
        mine = pd.DataFrame([bar[1:] for bar in bars if bar[0] == symbol])
        assert (pd.to_datetime(mine[0], unit="ms", utc=True).to_numpy() == wanted.index.to_numpy()).all()
        assert mine[[2, 3, 4, 5]].to_numpy().tolist() == wanted.to_numpy().tolist()
        np.testing.assert_allclose(mine[6], volume, rtol=1e-15)


@pytest.mark.parametrize(("kind", "amount"), [("volume", lambda t: Fraction(t.size)), ("tick", lambda t: Fraction(1)),
                                          ("dollar", lambda t: Fraction(t.price * t.size))])  # fmt: skip
def test_threshold_bars_are_those_of_a_plain_loop(kind, amount):
    trades = random_trades(4_000, seed=2, symbols=1)
    threshold = {"volume": 50, "tick": 17, "dollar": 6000}[kind]
    wanted, rows, total, last = [], [], Fraction(0), -1
    for trade in trades:
        rows.append(trade)
        total += amount(trade)
        if total >= threshold:
            prices = [row.price for row in rows]
            opened = max(rows[0].time, last)
            last = max(rows[-1].time, opened + 1)
            volume = float(sum(Fraction(row.size) for row in rows))
            wanted.append(("S0", opened, last, prices[0], max(prices), min(prices), prices[-1], volume))
            rows, total = [], Fraction(0)
    assert bars_of(f"{kind}:{threshold}", trades) == wanted
    assert len(wanted) > 100
    closes = [bar[2] for bar in wanted]
    assert all(earlier < later for earlier, later in pairwise(closes))


def test_imbalance_bars_are_those_of_the_formula():
    """López de Prado's rule as numpy on whole arrays, bar after bar."""
    trades = random_trades(6_000, seed=3, symbols=1)
    prices = np.array([trade.price for trade in trades])
    change = pd.Series(np.sign(np.diff(prices, prepend=prices[0]))).replace(0, np.nan).ffill().fillna(0).to_numpy()
    ends, begin, expected, sign = [], 0, 30.0, None
    while begin < len(trades):
        theta = np.abs(np.cumsum(change[begin:]))
        bound = None if sign is None else max(expected * abs(sign), np.sqrt(expected))
        over = np.array([29]) if bound is None else np.flatnonzero(theta >= bound)
        if not len(over):
            break
        end = begin + int(over[0]) + 1
        mean, length = change[begin:end].mean(), end - begin
        if sign is None:
            sign = mean
        else:
            sign, expected = sign + 2 / 21 * (mean - sign), expected + 2 / 21 * (length - expected)
        ends.append(end)
        begin = end
    builder = BarBuilder(BarKind.of("imbalance:30"))
    closed = [one for offset, trade in enumerate(trades) for one in builder.feed(trade, offset)]
    assert [one.rows[-1].offset + 1 for one in closed] == ends
    assert len(ends) > 50


@pytest.mark.parametrize("kind", ["1m", "tick:13", "volume:40", "dollar:5000", "imbalance:20"])
def test_a_restart_at_any_trade_changes_nothing(kind):
    trades = random_trades(600, seed=4)
    chance = random.Random(kind)
    for number in range(0, 600, 7):  # cancels and corrections among them
        one = trades[number]
        action = chance.choice(["cancel", "correct"])
        trades.insert(
            min(number + 5, len(trades)), Trade(one.symbol, one.time, one.price + 0.01, 1.0, one.id, "unknown", action)
        )
    straight, broken = BarBuilder(BarKind.of(kind), TimeRules(2_000)), BarBuilder(BarKind.of(kind), TimeRules(2_000))
    for offset, trade in enumerate(trades):
        assert outcome(straight, trade, offset) == outcome(broken, trade, offset)
        states = {symbol: broken.snapshot(symbol) for symbol in broken.symbols()}
        assert states == {symbol: straight.snapshot(symbol) for symbol in straight.symbols()}
        broken = BarBuilder(BarKind.of(kind), TimeRules(2_000))
        for symbol, state in states.items():
            broken.restore(symbol, state)


def outcome(builder: BarBuilder, trade: Trade, offset: int):
    try:
        return builder.feed(trade, offset)
    except BadRecord as bad:
        return bad.kind


def refusal(builder: BarBuilder, trade: Trade) -> str:
    with pytest.raises(BadRecord) as caught:
        builder.feed(trade, 9)
    return caught.value.kind


def test_late_trades():
    builder = BarBuilder(BarKind.of("1m"))
    builder.feed(Trade("A", START + 1, 1.0, 1.0), 0)
    builder.feed(Trade("A", START + MINUTE, 2.0, 1.0), 1)
    assert refusal(builder, Trade("A", START + 2, 1.0, 1.0)) == "late"
    builder.feed(Tick("A", START + 3 * MINUTE), 3)
    assert refusal(builder, Trade("A", START + 2 * MINUTE, 1.0, 1.0)) == "late"
    assert builder.feed(Trade("A", START + 3 * MINUTE, 1.0, 1.0), 4) == []


def test_a_declared_lateness_amends_the_bar_in_the_order_of_times():
    trades = [
        Trade("A", START + 10, 1.0, 1.0), Trade("A", START + MINUTE + 5, 7.0, 1.0), Trade("A", START + 5, 5.0, 1.0),
        Trade("A", START + MINUTE - 1, 3.0, 2.0), Trade("A", START + MINUTE + 5_000, 7.0, 1.0),
    ]  # fmt: skip
    assert bars_of("1m", trades, lateness_ms=5_000) == [("A", START, START + MINUTE, 5.0, 5.0, 1.0, 3.0, 4.0)]


def test_cancelled_and_corrected_until_the_close():
    builder = BarBuilder(BarKind.of("1m"))
    for offset, (name, price) in enumerate([("a", 1.0), ("b", 9.0), ("c", 3.0)]):
        builder.feed(Trade("A", START + offset, price, 1.0, name), offset)
    builder.feed(Trade("A", START + 3, 9.0, 1.0, "b", "unknown", "cancel"), 3)
    builder.feed(Trade("A", START + 4, 2.0, 5.0, "c", "unknown", "correct"), 4)
    assert refusal(builder, Trade("A", START + 4, 2.0, 5.0, "x", "unknown", "cancel")) == "unknown_trade"
    (closed,) = builder.feed(Tick("A", START + MINUTE), 5)
    assert as_tuple(closed.bar)[3:] == (1.0, 2.0, 1.0, 2.0, 6.0)
    assert closed.made_of(3) == b"3/0-2/2"
    assert refusal(builder, Trade("A", START + 4, 2.0, 5.0, "c", "unknown", "cancel")) == "late"


def test_a_bar_whose_trades_are_all_cancelled_is_none():
    builder = BarBuilder(BarKind.of("1m"))
    builder.feed(Trade("A", START, 1.0, 1.0, "a"), 0)
    builder.feed(Trade("A", START, 1.0, 1.0, "a", "unknown", "cancel"), 1)
    assert builder.feed(Tick("A", START + MINUTE), 2) == []


def test_repeats_by_id_also_after_the_close():
    builder = BarBuilder(BarKind.of("1m"))
    trade = Trade("A", START, 1.0, 1.0, "a")
    builder.feed(trade, 0)
    assert builder.feed(trade, 1) == []
    assert refusal(builder, Trade("A", START, 1.5, 1.0, "a")) == "conflict"
    (closed,) = builder.feed(Tick("A", START + MINUTE), 2)
    assert closed.bar.volume == 1.0
    assert builder.feed(trade, 3) == []
    assert builder.repeats == 2


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b'{"symbol":"A","time":1,"price":1,"size":0}', "size"),
        (b'{"symbol":"A","time":1,"price":-1,"size":1}', "price"),
        (b'{"symbol":"A","time":1,"price":1,"size":1e400}', "out of range"),
        (b'{"symbol":"A","time":1,"price":1,"size":1e308}', "not below"),  # two of them have no sum
        (b'{"symbol":"A","time":1,"price":1,"size":1,"action":"cancel"}', "without an `id`"),
        (b'{"symbol":"A B","time":1,"price":1,"size":1}', "white space"),
        (None, "action cancel"),
    ],
)
def test_what_is_no_trade(value, word):
    with pytest.raises(BadRecord, match=word):
        decode_trade(value)


def test_names_of_kinds():
    assert BarKind.of("1440m") == BarKind.of("1d")
    for name in ("volume:0", "volume:-1", "tick:1.5", "volume:inf", "volume:x", "range:5", "volume:", "1x"):
        with pytest.raises(ConfigurationError, match=r"kind of bars|above 0"):
            BarKind.of(name)
