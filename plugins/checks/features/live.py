"""What a worker does with a feature: bar by bar, in chunks, restarted in the middle, many symbols at once."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base import FloatArray
from plugins.base.bars import bars_from_frame
from plugins.base.streaming import Rows, StreamingFeature
from plugins.checks.bars import completed, real, usual, walk
from plugins.checks.features.subject import FeatureSubject, describe
from plugins.checks.findings.compare import difference
from plugins.checks.findings.outcome import Failed
from schemas.errors import PluginError

CHUNKS = (1, 7, 1000)
LARGEST_STATE = 512 * 1024
"""Bytes of one symbol: a snapshot is one record, and brokers refuse records of more than 1 MiB."""


def batch_equals_live(subject: FeatureSubject) -> str:
    """`compute` over the frame was compared with bars fed singly and in chunks of 7 and 1000, to the byte."""
    data = _live_bars(subject)
    whole = subject.compute(data) if subject.fold else _fed(subject.stream(), data, len(data))
    for size in CHUNKS:
        _same(subject, whole, _fed(subject.stream(), data, size), f"fed {size} at a time")
    plain = getattr(subject.stream(), "run_plain", None)
    if plain is None:
        return f"{len(data)} bars, in chunks of 1, 7 and 1000: the same bytes"
    stream = subject.stream()
    outs = np.empty((len(data), len(stream.columns)))
    stream.run_plain(stream.new_states(1), np.zeros(len(data), np.int64), _bars(stream, data), outs)  # type: ignore[attr-defined]
    _same(subject, whole, _frame(outs, data, stream), "its step ran without numba")
    return f"{len(data)} bars, in chunks of 1, 7 and 1000, compiled and plain: the same bytes"


def restart(subject: FeatureSubject) -> str:
    """At bars before, in and after the warm-up the state was stored as bytes and given to a new instance."""
    data = _live_bars(subject)
    whole = _fed(subject.stream(), data, len(data))
    cuts = [c for c in dict.fromkeys([0, 1, subject.memory // 2, subject.memory - 1, subject.memory, len(data) - 2])
            if 0 <= c < len(data)]  # fmt: skip
    for cut in cuts:
        before, after = subject.stream(), subject.stream()
        states = before.new_states(1)
        head = _run(before, states, data.iloc[:cut])
        restored = np.frombuffer(states.tobytes(), after.state_dtype).copy()
        tail = _run(after, restored, data.iloc[cut:])
        joined = _frame(np.concatenate([head, tail]), data, after)
        _same(subject, whole, joined, f"stored and restored after bar {cut}")
    return f"restored after {', '.join(map(str, cuts))} bars: the same bytes"


def symbols(subject: FeatureSubject) -> str:
    """Bars of three symbols, interleaved, were compared with each symbol alone; and one instance with a fresh one."""
    frames = _three(subject.frequent)
    used = subject.new()
    for name, data in frames.items():
        seen = subject.compute(data, name, used)
        deviation = difference(subject.compute(data, name, subject.new()), seen)
        if deviation is not None:
            raise Failed(
                f"for {name}, after other symbols, {deviation.text}",
                "keep nothing on the instance that a later frame can see: compute starts anew each time",
            )
    frames = {name: data.iloc[: len(_live_bars(subject))] for name, data in frames.items()}
    mixed = _interleaved(subject.stream(), frames)
    for name, data in frames.items():
        stream = subject.stream()
        alone = _frame(_run(stream, stream.new_states(1), data), data, stream)
        deviation = difference(alone, _frame(mixed[name], data, stream))
        if deviation is not None:
            raise Failed(f"{name} among other symbols: {deviation.text}", "keep everything in the state of the symbol")
    return f"{', '.join(frames)}: each as if alone"


def state_size(subject: FeatureSubject) -> str:
    """The state of a symbol was measured, and whether the instance grows with the bars that it sees."""
    stream = subject.stream()
    size = stream.state_dtype.itemsize
    if size > LARGEST_STATE:
        raise Failed(
            f"a symbol's state has {size:,} bytes; a record of the log holds {LARGEST_STATE:,}",
            "keep sums instead of bars, or look back less",
        )
    plugin = subject.new()
    sizes = []
    for _ in range(3):
        subject.compute(subject.bars.iloc[: subject.frequent], plugin=plugin)
        sizes.append(_instance_size(plugin))
    if sizes[0] < sizes[1] < sizes[2]:
        raise Failed(
            f"the instance grows with each call: {sizes[0]:,}, {sizes[1]:,}, {sizes[2]:,} bytes",
            "keep no history on self; a worker runs for months",
        )
    return f"{size:,} bytes a symbol; the instance does not grow"


def _instance_size(plugin: Any) -> int:
    total = 0
    for value in vars(plugin).values():
        try:
            total += len(pickle.dumps(value))
        except Exception:  # compiled code, say: it does not grow
            continue
    return total


def _live_bars(subject: FeatureSubject) -> pd.DataFrame:
    """Bars for a form that calls `compute` at each of them, unless it is a fold."""
    if subject.fold:
        return subject.bars
    return usual(max(4, min(subject.memory + 20, int(0.15 / max(subject.pace, 1e-6)))))


def _three(count: int) -> dict[str, pd.DataFrame]:
    return {"XOM": usual(count), "JNJ": real("JNJ", count), "a generated walk": walk(count, 11)}


def _fed(stream: StreamingFeature, data: pd.DataFrame, size: int) -> pd.DataFrame:
    """The columns for `data`, fed in chunks of `size` bars."""
    states = stream.new_states(1)
    outs = [_run(stream, states, data.iloc[first : first + size]) for first in range(0, len(data), size)]
    return _frame(np.concatenate(outs), data, stream)


def _run(stream: StreamingFeature, states: Rows, data: pd.DataFrame) -> FloatArray:
    outs = np.empty((len(data), len(stream.columns)))
    _step(stream, states, np.zeros(len(data), np.int64), _bars(stream, data), outs)
    return outs


def _step(stream: StreamingFeature, states: Rows, slots: NDArray[np.int64], bars: Rows, outs: FloatArray) -> None:
    try:
        stream.run(states, slots, bars, outs)
    except PluginError as error:
        raise Failed(f"bar by bar it fails: {describe(error)}", "see what it does with few bars") from error


def _interleaved(stream: StreamingFeature, frames: dict[str, pd.DataFrame]) -> dict[str, FloatArray]:
    """Each symbol's values when the bars of all come mixed, each symbol's in order."""
    lengths = [len(data) for data in frames.values()]
    slots = np.repeat(np.arange(len(frames)), lengths)
    np.random.default_rng(3).shuffle(slots)
    merged = np.concatenate([_bars(stream, data) for data in frames.values()])
    bars = np.empty_like(merged)
    for slot, data in enumerate(frames.values()):
        bars[slots == slot] = _bars(stream, data)
    outs = np.empty((len(bars), len(stream.columns)))
    _step(stream, stream.new_states(len(frames)), slots.astype(np.int64), bars, outs)
    return {name: outs[slots == slot] for slot, name in enumerate(frames)}


def _bars(stream: StreamingFeature, data: pd.DataFrame) -> Rows:
    """The rows that it steps over, those columns included that it requires."""
    requires = stream.plugin.requires
    return bars_from_frame(completed(data, requires), requires)


def _frame(outs: FloatArray, data: pd.DataFrame, stream: StreamingFeature) -> pd.DataFrame:
    return pd.DataFrame(outs, data.index, list(stream.columns))


def _same(subject: FeatureSubject, whole: pd.DataFrame, other: pd.DataFrame, how: str) -> None:
    deviation = difference(whole.astype(np.float64), other)
    if deviation is not None:
        raise Failed(
            f"{how}, {deviation.text}",
            "let compute be the fold itself (do not override it), and keep everything in the state",
        )
