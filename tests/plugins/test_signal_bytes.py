"""Signals written from columns have the bytes that msgspec writes of their structs, made one by one as `SignalContent`
and `Provenance` say it.

`make test` compares some ten thousand, the long run (marked slow) millions; both print how many.
"""

import hashlib
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from plugins.base.streaming import trial_bars
from plugins.fold.gate import FIRST
from plugins.pipeline.accepted_bars import AcceptedBars
from plugins.pipeline.records.published import BarsToPublish, Decided, Source
from plugins.pipeline.records.rendering import SignalTexts
from plugins.pipeline.records.signals import SignalColumns
from plugins.pipeline.records.texts import write_digest
from plugins.side_inputs.news.join import BarNews
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import FIRST_TIME, LAST_TIME, Model, Origin, Provenance, Signal, SignalContent, encode
from tests.support.memory import ready
from tests.support.told import TRIED

SYMBOLS = ["A", "BRK.B", 'Q"\\/', "é", "😀😀", "\u2028x".strip(), "ÄÖÜ" * 21, "x" * 64, "<>&'", "\x7e"]
NAMES = ["demo", 'de"m\\o', "tab\tnew\nline", "é😀", "n" * 300]
SIGNALS = [
    "BUY",
    "SELL",
    "HOLD",
    "FLAT",
    0.0,
    -0.0,
    1.0,
    1,
    0.1 + 0.2,
    -1e-7,
    5e-324,
    1.7976931348623157e308,
    1e16,
    1e21,
]
REASONS = ["", "prediction > 0.7", 'a "reason"', "back\\slash", "control\x01\x1f\n\t", "é 😀", "\u2028", "r" * 2000]
READY = ready("demo")


def floats(rng: np.random.Generator, count: int) -> Any:
    """Any bits, decimals with few digits, whole numbers, special values."""
    bits = rng.integers(0, 1 << 64, count, np.uint64).view(np.float64)
    short = rng.integers(-(10**6), 10**6, count) / 10.0 ** rng.integers(0, 12, count)
    special = rng.choice(
        [0.0, -0.0, math.nan, math.inf, -math.inf, 1e15, 1e16, 1e17, 123456789012345680.0, 1e-5], count
    )
    normal = rng.normal(0.0, 1e-3, count)
    return np.choose(rng.integers(0, 4, count), [bits, short, special, normal])


def of_columns(rng: np.random.Generator, count: int) -> tuple[BarsToPublish, Decided]:
    slots = rng.integers(0, len(SYMBOLS), count)
    bars = np.resize(trial_bars(1), count)
    bars["time"] = np.where(
        rng.random(count) < 0.9, rng.integers(0, 2 * 10**12, count), rng.integers(FIRST_TIME, LAST_TIME, count)
    )
    news = BarNews({}, rng.integers(-1, 3, count), rng.random(count) < 0.5) if rng.random() < 0.5 else None
    offsets = rng.integers(0, 2 ** rng.integers(1, 63), count)
    accepted = AcceptedBars(bars, slots, offsets, np.zeros(count, np.int64), SYMBOLS, news)
    published = BarsToPublish(
        Source(*[("bars", 0, "1.0"), ('p"re.bars', 12, "wörk\\er")][rng.integers(2)]), accepted,
        rng.integers(FIRST, 3, count) ** rng.integers(1, 20), bars["time"] + rng.integers(1, 10**9, count),
        floats(rng, count), rng.integers(0, 10**9, count), rng.integers(FIRST_TIME, LAST_TIME, count),
    )  # fmt: skip
    chosen = [SIGNALS[i] for i in rng.integers(0, len(SIGNALS), count)]
    signals = [
        float(x) if math.isfinite(x) and rng.random() < 0.1 else said
        for x, said in zip(floats(rng, count), chosen, strict=True)
    ]
    reasons = [REASONS[i] if i < len(REASONS) else f"z is {i}" for i in rng.integers(0, 2 * len(REASONS), count)]
    return published, Decided(signals, floats(rng, count), reasons)


def one_by_one(published: BarsToPublish, strategy: ReadyStrategy, decided: Decided) -> list[bytes]:
    """The oracle: a struct for each bar, as the worker made them before there were columns."""
    accepted, source = published.accepted, published.source
    encoded = []
    for i, time in enumerate(accepted.bars["time"].tolist()):
        symbol = SYMBOLS[accepted.slots[i]]
        prediction, weight = float(published.predictions[i]), float(decided.weights[i])
        gap = int(published.gaps[i])
        content = SignalContent(
            hashlib.sha256(f"{strategy.name}\x1f{symbol}\x1f{time}".encode()).hexdigest()[:32], strategy.name, symbol,
            time, decided.signals[i], None if math.isnan(weight) else weight, decided.reasons[i],
            None if math.isnan(prediction) else prediction, strategy.model_id, strategy.config_hash,
            None if gap == -1 else gap, int(published.valid_until[i]),
        )  # fmt: skip
        news = accepted.news
        last = int(news.offsets[i]) if news else -1
        provenance = Provenance(
            source.topic, source.partition, int(accepted.offsets[i]), None if last < 0 else last,
            Origin(source.partition, int(published.origin_offsets[i]), int(published.origin_times[i])), source.worker,
            bool(news and news.historical[i]),
        )  # fmt: skip
        encoded.append(encode(Signal(content, provenance)))
    return encoded


def compared(seed: int, count: int) -> int:
    rng = np.random.default_rng(seed)
    model = [None, Model("ml.lightgbm", "ab" * 32), Model('k"ey\\', "é")][seed % 3]
    strategy = replace(READY, name=NAMES[seed % len(NAMES)], model_id=model, config_hash=f"{seed:016x}")
    published, decided = of_columns(rng, count)
    columns = SignalColumns(published, strategy, decided, SignalTexts())
    rendered, expected = columns.rendered(), one_by_one(published, strategy, decided)
    bounds, data = [0, *rendered.ends.tolist()], rendered.data.tobytes()
    written = [data[start:end] for start, end in pairwise(bounds)]
    assert written == expected
    assert [encode(one) for one in columns.structs()] == expected
    keys = rendered.keys
    names = [keys.data[keys.starts[n] : keys.starts[n + 1]].tobytes().decode() for n in rendered.numbers]
    assert names == published.accepted.names
    return len(written)


@pytest.mark.parametrize("count", [1, 2, 700])
def test_columns_and_structs_have_the_same_bytes(count: int) -> None:
    TRIED["signals from columns"] += sum(compared(seed, count) for seed in range(15))


@pytest.mark.slow
def test_millions_of_signals_have_the_same_bytes() -> None:
    TRIED["signals from columns"] += sum(compared(seed, 20_000) for seed in range(100, 200))


def test_ids_are_hashes_of_texts_of_every_length() -> None:
    out, scratch = np.zeros(32, np.uint8), (np.empty(64, np.uint32), np.empty(8, np.uint32))
    for length in range(300):
        text = bytes((7 * i + length) % 256 for i in range(length))
        message = np.frombuffer(text + bytes(range(72)), np.uint8).copy()
        assert write_digest(out, 0, message, length, scratch) == 32
        assert out.tobytes().decode() == hashlib.sha256(text).hexdigest()[:32]


def test_equal_numbers_that_are_written_differently_stay_apart() -> None:
    published, decided = of_columns(np.random.default_rng(0), 6)
    decided = replace(decided, signals=[0.0, -0.0, 1, 1.0, -0.0, 0.0])
    written = SignalColumns(published, READY, decided, SignalTexts()).rendered().data.tobytes()
    texts = [part.split(b",")[0] for part in written.split(b'"signal":')[1:]]
    assert texts == [
        b"0.0",
        b"-0.0",
        b"1",
        b"1.0",
        b"-0.0",
        b"0.0",
    ]
