"""Records decoded together come to what msgspec makes of each: the same bars, the same dead letters, in order.

`make test` tries some ten thousand records and numbers, the long run (marked slow) millions; both print how many.
"""

import json
import random
import struct
from collections import Counter
from typing import Any

import numba
import numpy as np
import pytest

from plugins.base.bars import BAR
from schemas.errors import BadRecord
from schemas.wire import Bar, canonical_interval, decode_bar, encode
from streams.consuming import bar_scanner, bar_table
from streams.consuming.clock_bound import ClockBound
from streams.consuming.intake import Intake
from streams.kafka.partitioner import PartitionerChange, misplaced
from tests.support.memory import Fetched
from tests.support.told import TRIED

SYMBOLS = ["A", "BRK.B", "é", "😀", 'Q"', "back\\", "x" * 64, "AA", "AB"]
INTERVALS = {"1m": 60_000, "60m": 3_600_000, "1h": 3_600_000, "5s": 5_000, "1d": 86_400_000, "volume:10000": 0}
PIECES = [
    b'"', b",", b":", b"{", b"}", b" ", b"\n", b"0", b"-", b"+", b".", b"e", b"E5", b"null", b"true", b"false",
    b"\\u0041", b"\\", b"\x00", b"\xff", b"1e400", b"1e-400", b"NaN", b"Infinity", b"9" * 20, b"0.0", b"-0.0",
    b'"closed":false,',
]  # fmt: skip
WAYS = (
    repr, "{:.2f}".format, "{:.17g}".format, "{:.6e}".format, "{:.18f}".format, "{:.3E}".format,
    lambda value: str(int(value) + 1),
)  # fmt: skip


def number(rng: random.Random, value: float) -> str:
    """One of the ways in which programs write it."""
    return rng.choice(WAYS)(value)


def written(rng: random.Random) -> tuple[bytes, bytes]:
    """Key and value of a bar as one of many programs writes it; most are valid."""
    symbol, interval = rng.choice(SYMBOLS), rng.choice(list(INTERVALS))
    opens = 60_000 * rng.randrange(20_000_000, 23_000_000) if interval != "5s" else 1_380_000_000_000
    low = rng.choice([rng.uniform(0.0001, 1000), round(rng.uniform(1, 500), 2), 10 ** rng.uniform(-9, 9)])
    open_, close, high = low * rng.uniform(1, 1.1), low * rng.uniform(1, 1.1), low * 1.2
    fields: dict[str, str] = {
        "symbol": json.dumps(symbol, ensure_ascii=rng.random() < 0.3), "interval": f'"{interval}"',
        "open_time": str(opens), "close_time": str(opens + (INTERVALS[interval] or rng.choice([-1, 0, 1, 77_777]))),
        "open": number(rng, open_), "high": number(rng, high), "low": number(rng, low), "close": number(rng, close),
        "volume": rng.choice(["0", "0.0", "-0.0", "100", str(rng.randrange(10**18)), number(rng, rng.uniform(0, 1e9))]),
    }  # fmt: skip
    if rng.random() < 0.5:
        fields["closed"] = rng.choice(["true", "false", "true"])
    names = list(fields)
    if rng.random() < 0.3:
        rng.shuffle(names)
    comma, colon = rng.choice([(",", ":"), (", ", ": "), (" ,\n\t", " : ")])
    text = "{" + comma.join(f'"{name}"{colon}{fields[name]}' for name in names) + "}"
    return symbol.encode(), text.encode()


def changed(rng: random.Random, value: bytes) -> bytes:
    """A few bytes are taken out, put in, exchanged or turned."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, end = sorted(rng.choices(range(len(value) + 1), k=2))
        end = min(end, at + rng.choice([0, 1, 1, 3, 20]))
        piece = rng.choice([*PIECES, bytes([rng.randrange(256)]), value[at:end] * 2, b""])
        value = value[:at] + piece + value[end:]
    return value


def records(rng: random.Random, count: int, share: float) -> list[Fetched]:
    """A `share` of them is changed; some have another key, or no value."""
    made = []
    for offset in range(count):
        key, value = written(rng)
        if rng.random() < share:
            value = changed(rng, value)
        wrong: list[Any] = [None, b"", b"A", key + b"x", key[:-1]]
        wanted = key if rng.random() > 0.02 else rng.choice(wrong)
        made.append(Fetched(offset, value if rng.random() > 0.01 else None, wanted))
    return made


def one_by_one(records: list[Fetched], changes: list[PartitionerChange], bound: ClockBound) -> Any:
    """The oracle: each record by msgspec, and then by what a partition takes."""
    bars: dict[str, list[Any]] = {}
    dead, counts, seen, moved = [], Counter[str](), set[str](), []
    at: Any = None
    for record in records:
        begun = [change for change in changes if change.offset <= record.offset]
        if begun[-1] is not at:
            at = begun[-1]
            seen.clear()
        try:
            bar = decode_bar(record.value)
            if record.key != bar.symbol.encode():
                shown = "none" if record.key is None else repr(record.key[:80])
                raise BadRecord("wrong_key", f"the key {shown} is not the symbol {bar.symbol!r}")
            if bar.symbol not in seen:
                if fault := misplaced(bar.symbol, 0, 2, at.partitioner):
                    raise BadRecord("wrong_partition", fault)
                seen.add(bar.symbol)
                moved.append(bar.symbol)
            bound.check(record.offset, bar)
        except BadRecord as bad:
            dead.append((record.offset, bad.kind, bad.reason))
            continue
        if bar.closed:
            row = (bar.symbol, record.offset, bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume + 0.0)
            bars.setdefault(canonical_interval(bar.interval), []).append(row)
        else:
            counts["unclosed"] += 1
    return bars, dead, counts, moved


def compared(seed: int, count: int) -> int:
    rng = random.Random(seed)
    made = records(rng, count, rng.choice([0.05, 0.5, 1.0]))
    kinds = ["murmur2", "as_is", "crc32"][: rng.choice([1, 1, 3])]
    changes = [PartitionerChange(number * count // 3, kind) for number, kind in enumerate(kinds)]
    known, clock = {3: 5, count // 2: 9}, lambda: 1_300_000_000.0
    clocks = [ClockBound(known, count // 4, clock, 60.0) if seed % 3 == 0 else ClockBound() for _ in range(2)]
    bars, dead, counts, moved = one_by_one(made, changes, clocks[0])
    intake, at = Intake(0, 2, "murmur2", clocks[1], changes), 0
    found: dict[str, list[Any]] = {}
    letters, totals, symbols = [], Counter[str](), []
    while at < count:
        size = rng.choice([1, 3, 20, 400])
        taken, at = intake.read(made[at : at + size]), at + size
        for interval, batch in taken.batches.items():
            columns = [batch.bars[name].tolist() for name in BAR.names or ()]
            found.setdefault(interval, []).extend(zip(batch.symbols, batch.offsets.tolist(), *columns, strict=True))
        letters += [(letter.record.offset, letter.kind, letter.reason) for letter in taken.dead]
        totals += taken.counts
        symbols += taken.symbols
    assert letters == dead
    assert {k: repr(rows) for k, rows in found.items()} == {k: repr(rows) for k, rows in bars.items()}
    assert totals == counts
    assert symbols == (moved if intake.moving else [])
    assert dict(clocks[0].refused) == dict(clocks[1].refused)
    return count


@pytest.mark.parametrize("seed", range(6))
def test_records_together_are_as_one_by_one(seed: int) -> None:
    TRIED["bars together"] += compared(seed, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_millions_of_records_are_as_one_by_one(part: int) -> None:
    TRIED["bars together"] += sum(compared(1_000 * (part + 1) + number, 10_000) for number in range(20))


def test_most_bars_are_plain() -> None:
    """Else nothing is compared."""
    rng = random.Random(1)
    made = [Fetched(n, v, k) for n, (k, v) in enumerate(written(rng) for _ in range(3_000)) if b"\\" not in v]
    intake = Intake(0, 1, "murmur2")
    intake.read(made)
    table = bar_table.BarTable(made)
    table.scan(intake._strings, intake._intervals)
    good = sum(len(batch) for batch in Intake(0, 1, "murmur2").read(made).batches.values())
    assert table.plain.sum() - table.unclosed > 0.3 * good


@numba.njit  # type: ignore[untyped-decorator]
def _all_values(text: Any, ends: Any, out: Any) -> None:
    start = 0
    for i in range(len(ends)):
        value, at = bar_scanner._decimal(text, start, ends[i])
        out[i] = value if at == ends[i] else -1.0
        start = ends[i]


def texts(rng: random.Random, count: int) -> list[str]:
    made = []
    for _ in range(count):
        kind = rng.randrange(6)
        if kind == 0:
            value = abs(struct.unpack("d", rng.randbytes(8))[0])
            made.append(repr(value) if value == value and value < 1e300 else "1.5")
        elif kind == 1:
            made.append(f"{rng.randrange(10 ** rng.randint(1, 19))}e{rng.randint(-70, 70)}")
        elif kind == 2:
            made.append(f"{rng.uniform(0, 10 ** rng.uniform(-5, 12)):.{rng.randint(0, 17)}f}")
        elif kind == 3:  # half-way between two doubles, and next to that
            whole = (1 << 53) + 2 * rng.randrange(1 << 52) + 1
            made.append(str(whole + rng.choice([-1, 0, 1])))
        elif kind == 4:
            made.append(repr(round(rng.uniform(0, 1000), 4) + 1e-4))
        else:
            made.append(f"{rng.randrange(10**17, 10**19)}e{rng.randint(-30, 10)}")
    return made


def numbers_compared(seed: int, count: int) -> int:
    """How many were read here, each as Python reads it."""
    made = texts(random.Random(seed), count)
    ends = np.cumsum([len(text) for text in made])
    out = np.empty(count)
    _all_values(np.frombuffer("".join(made).encode(), np.uint8), ends, out)
    expected = np.array([float(text) for text in made]).view(np.uint64)
    read = out >= 0
    wrong = np.flatnonzero(read & (out.view(np.uint64) != expected))
    assert [made[i] for i in wrong[:3]] == []
    return int(read.sum())


def test_a_topic_of_ours_is_plain() -> None:
    """As `alphawire produce bars` writes it."""
    prices = 99.7038, 99.7048, 99.65, 99.6673
    bars = [Bar("A", "1m", 60_000 * n, 60_000 * (n + 1), *prices, 10.0 * n) for n in range(100)]
    made = [Fetched(n, encode(bar), b"A") for n, bar in enumerate(bars)]
    intake = Intake(0, 1, "murmur2")
    intake.read(made)
    table = bar_table.BarTable(made)
    table.scan(intake._strings, intake._intervals)
    assert table.plain.all()


def test_numbers_are_the_nearest_doubles() -> None:
    read = numbers_compared(1, 50_000)
    assert read > 25_000
    TRIED["decimals"] += read


@pytest.mark.slow
def test_millions_of_numbers_are_the_nearest_doubles() -> None:
    TRIED["decimals"] += sum(numbers_compared(seed, 500_000) for seed in range(10, 20))
