"""Signals as JSON bytes, out of columns: each is what msgspec writes of the struct, to the byte.

Constant parts are written once for a strategy, symbols once for a slot, and texts that repeat once for a batch. Numbers
are msgspec's own.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numba
import numpy as np

from plugins.base import FloatArray
from plugins.base.streaming import IntArray
from plugins.fold.gate import FIRST
from plugins.pipeline.records.published import BarsToPublish, Decided, Source
from plugins.pipeline.records.texts import Bytes, NumberedTexts, SymbolTexts, Texts, copy, write_digest, write_integer
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Origin, Provenance, Signal, SignalContent, encode

HOLE: Any = msgspec.Raw(b"\n")
"""Where something is filled in: no other byte of a record is a line's end."""
QUOTED: Any = msgspec.Raw(b'"\n"')
MOST = 64 * 1024
"""Bytes of a strategy's texts that are kept."""
LATER = 14
"""Number of the last piece, where a score counted is historical; the strategy's name, 'null' and what comes before
`silent_until` come after it.
"""


@dataclass(slots=True)
class RenderedRecords:
    """The bytes of records, one after the other: the first is ``data[:ends[0]]``. `times`: close of each one's bar (ms
    since the epoch, UTC); its symbol is the text ``numbers[i]`` of `keys`.
    """

    data: Bytes
    ends: IntArray
    times: IntArray
    keys: Texts
    numbers: IntArray

    def __len__(self) -> int:
        return len(self.ends)


def _pieces(strategy: ReadyStrategy, source: Source) -> list[bytes]:
    """The parts of a signal's JSON between what differs from one to the next."""
    name, model, digest = strategy.name, strategy.model_id, strategy.config_hash
    content = SignalContent(QUOTED, name, HOLE, HOLE, HOLE, HOLE, HOLE, HOLE, model, digest, HOLE, HOLE)
    origin = Origin(source.partition, HOLE, HOLE)
    pieces, later = (
        encode(
            Signal(content, Provenance(source.topic, source.partition, HOLE, HOLE, origin, source.worker, historical))
        ).split(b"\n")
        for historical in (False, True)
    )
    return [*pieces, later[-1], name.encode() + b"\x1f", b"null", b',"silent_until":']


class SignalTexts:
    """Texts of a strategy's signals on one partition that are kept from batch to batch."""

    def __init__(self) -> None:
        self.symbols = SymbolTexts()
        self._of: tuple[ReadyStrategy, Source] | None = None
        self._texts = NumberedTexts(())

    def of(self, strategy: ReadyStrategy, source: Source) -> NumberedTexts:
        """The constant parts, and what came again and again."""
        known = self._of is not None and self._of[0] is strategy and self._of[1] == source
        if not known or len(self._texts.data) > MOST:
            self._texts, self._of = NumberedTexts(_pieces(strategy, source)), (strategy, source)
        return self._texts


def render(published: BarsToPublish, strategy: ReadyStrategy, decided: Decided, texts: SignalTexts) -> RenderedRecords:
    """The signals of `published` bars; `texts`: those that are kept from batch to batch."""
    accepted = published.accepted
    pool, symbols, slots = texts.of(strategy, published.source), texts.symbols.of(accepted.symbols), accepted.slots
    codes = pool.numbers_of(decided.signals), pool.numbers_of(decided.reasons)
    weights, predictions = _numbers(decided.weights), _numbers(published.predictions)
    longest = pool.constant + 240 + 2 * pool.longest + symbols.longest
    size = len(published) * longest + len(weights) + len(predictions)
    data, ends = np.empty(size, np.uint8), np.empty(len(published), np.int64)
    last, historical = published.news()
    times = np.ascontiguousarray(accepted.times)
    integers = (
        times, published.gaps, published.valid_until, accepted.offsets, last, published.origin_offsets,
        published.origin_times,
    )  # fmt: skip
    heartbeat = strategy.changes.heartbeat_ms if strategy.changes else 0
    columns = codes, weights, predictions, integers, historical, heartbeat
    written = _render(data, ends, (pool.data, pool.starts), (symbols.data, symbols.starts, slots), columns)
    return RenderedRecords(data[:written], ends, times, symbols, 2 * slots + 1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _render(out: Bytes, ends: IntArray, texts: Any, of_symbols: Any, columns: Any) -> int:
    pool, starts = texts
    symbols, bounds, slots = of_symbols
    codes, weights, predictions, integers, historical, heartbeat = columns
    times, gaps, until, offsets, last, origin_offsets, origin_times = integers
    longest = starts[LATER + 2] - starts[LATER + 1]
    for slot in slots:
        longest = max(longest, starts[LATER + 2] - starts[LATER + 1] + bounds[2 * slot + 2] - bounds[2 * slot + 1])
    message, scratch = np.empty(longest + 128, np.uint8), (np.empty(64, np.uint32), np.empty(8, np.uint32))
    name = copy(message, 0, pool, starts[LATER + 1], starts[LATER + 2])
    at, weight, prediction = 0, 1, 1
    for i in range(len(ends)):
        own = 2 * slots[i]
        end = copy(message, name, symbols, bounds[own + 1], bounds[own + 2])
        message[end] = 0x1F
        end = write_integer(message, end + 1, times[i])
        at = copy(out, at, pool, starts[0], starts[1])
        at = write_digest(out, at, message, end, scratch)
        at = copy(out, at, pool, starts[1], starts[2])
        at = copy(out, at, symbols, bounds[own], bounds[own + 1])
        at = copy(out, at, pool, starts[2], starts[3])
        at = write_integer(out, at, times[i])
        at = copy(out, at, pool, starts[3], starts[4])
        at = copy(out, at, pool, starts[codes[0][i]], starts[codes[0][i] + 1])
        at = copy(out, at, pool, starts[4], starts[5])
        at, weight = copy_number(out, at, weights, weight)
        at = copy(out, at, pool, starts[5], starts[6])
        at = copy(out, at, pool, starts[codes[1][i]], starts[codes[1][i] + 1])
        at = copy(out, at, pool, starts[6], starts[7])
        at, prediction = copy_number(out, at, predictions, prediction)
        at = copy(out, at, pool, starts[7], starts[8])
        at = _write_known(out, at, gaps[i], gaps[i] != FIRST, texts)
        at = copy(out, at, pool, starts[8], starts[9])
        at = write_integer(out, at, until[i])
        if heartbeat:
            at = copy(out, at, pool, starts[LATER + 3], starts[LATER + 4])
            at = write_integer(out, at, times[i] + heartbeat)
        at = copy(out, at, pool, starts[9], starts[10])
        at = write_integer(out, at, offsets[i])
        at = copy(out, at, pool, starts[10], starts[11])
        at = _write_known(out, at, last[i], last[i] >= 0, texts)
        at = copy(out, at, pool, starts[11], starts[12])
        at = write_integer(out, at, origin_offsets[i])
        at = copy(out, at, pool, starts[12], starts[13])
        at = write_integer(out, at, origin_times[i])
        closing = LATER if historical[i] else LATER - 1
        at = copy(out, at, pool, starts[closing], starts[closing + 1])
        ends[i] = at
    return at


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def copy_number(out: Bytes, at: int, numbers: Bytes, place: int) -> tuple[int, int]:
    """Copies the entry of a list that begins at `place`; where it ends there, and where the next one begins here."""
    while numbers[place] != 44 and numbers[place] != 93:
        out[at] = numbers[place]
        at, place = at + 1, place + 1
    return at, place + 1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _write_known(out: Bytes, at: int, value: int, known: bool, texts: tuple[Bytes, IntArray]) -> int:
    """The number, or null."""
    pool, starts = texts
    end: int = write_integer(out, at, value) if known else copy(out, at, pool, starts[LATER + 2], starts[LATER + 3])
    return end


def _numbers(values: FloatArray) -> Bytes:
    """As a list in JSON; what is not finite is null."""
    return np.frombuffer(encode(values.tolist()), np.uint8)
