"""Bars to Kafka: keyed by symbol, on the partition that the configured partitioner says, stamped with their close."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schemas.configuration import Kafka
from streams.ingest.bar_files import EXAMPLES, Refused, check_symbols, during
from streams.ingest.bar_rows import BarRows
from streams.ingest.normal.forming import FORMING, unfinished
from streams.ingest.sender import Pace, Part, Progress, Sender, open_sender, send_all
from streams.kafka.topics import partition_count, topic_name

STEP = 4_000
"""Bars encoded at once for each partition: small enough that sending goes on meanwhile."""


@dataclass(frozen=True)
class Produced:
    """What was acknowledged by the broker."""

    bars: int
    symbols: int
    first: int | None
    last: int | None
    seconds: float


def without_unfinished(frame: pd.DataFrame, clock: Callable[[], int]) -> tuple[pd.DataFrame, Refused]:
    """The bars that have closed by now, and what was left out: those that are still forming. `clock`: now, in ms."""
    return _without(frame, unfinished(frame, clock), FORMING, "closes", "close_time")


def within_topics(frame: pd.DataFrame) -> tuple[pd.DataFrame, Refused]:
    """The bars that a topic can hold, and what was left out: those that open before 1970."""
    old = frame["open_time"].to_numpy() < 0
    return _without(frame, old, "older than 1970 (a topic cannot hold them; a file can)", "opens", "open_time")


def _without(
    frame: pd.DataFrame, faulty: NDArray[np.bool_], reason: str, verb: str, time: str
) -> tuple[pd.DataFrame, Refused]:
    out, first = Refused(), frame[faulty].head(EXAMPLES)
    if faulty.any():
        out.reasons[reason] = int(faulty.sum())
        times = pd.to_datetime(first[time], unit="ms", utc=True)
        out.examples = [
            f"{symbol} {interval} {verb} at {when.isoformat()}"
            for symbol, interval, when in zip(first["symbol"], first["interval"], times, strict=True)
        ]
    return frame[~faulty].reset_index(drop=True), out


class Chosen:
    """The bars of a source that are sent: of `symbols` (None: all), with closes in [start, end), which have closed by
    now (`clock`, in ms; None: or will). What of them cannot be sent: `left_out`.
    """

    def __init__(
        self, there: Iterable[str], symbols: Iterable[str] | None, start: int | None, end: int | None,
        clock: Callable[[], int] | None,
    ) -> None:  # fmt: skip
        self._symbols, self._start, self._end, self._clock = symbols and set(symbols), start, end, clock
        self.left_out = Refused()
        check_symbols(self._symbols or (), there)

    def of(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            keep = during(frame["close_time"].to_numpy(), self._start, self._end)
            if self._symbols:
                keep &= frame["symbol"].isin(self._symbols).to_numpy()
            yield self._sendable(frame[keep])

    def _sendable(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame, old = within_topics(frame)
        self.left_out.take(old)
        if self._clock is not None:
            frame, forming = without_unfinished(frame, self._clock)
            self.left_out.take(forming)
        return frame


async def produce_bars(
    kafka: Kafka,
    bars: pd.DataFrame | Iterable[pd.DataFrame],
    rate: float | None = None,
    speed: float | None = None,
    progress: Progress | None = None,
) -> Produced:
    """Send `bars`, in their order, to the topic `bars`; returns when the broker has all of them.

    Parameters
    ----------
    bars
        symbol, open_time, close_time (ms), open, high, low, close, volume, as `streams.ingest.bar_files.read_bars`
        gives them, or some after others, as `streams.ingest.ordered.bar_stream.open_bars` does; a missing `interval`
        follows from the two times.
    rate
        Bars a second; None: as fast as the broker takes them.
    speed
        Multiple of real time by close time: 60 sends an hour of bars in a minute.
    progress
        Called with the number of bars that the broker has acknowledged since the last call.

    Raises
    ------
    BrokerError
        When the broker does not answer, lacks the topic, or does not acknowledge within 30 s.
    ConfigurationError
        For both `rate` and `speed`, or one that is not positive.
    """
    pace, sent = Pace(rate, speed), _Sent()
    count = await partition_count(kafka)
    rows = BarRows(topic_name(kafka, "bars"), kafka.partitioner, count)
    frames = [bars] if isinstance(bars, pd.DataFrame) else bars
    async with open_sender(kafka, "bars", progress) as sender:
        seconds = await send_all(sender, (_Bars(sent.seen(frame), rows) for frame in frames), pace, STEP * count)
    return Produced(sent.bars, len(sent.symbols), sent.first, sent.last, seconds)


@dataclass
class _Sent:
    bars: int = 0
    symbols: set[str] = field(default_factory=set)
    first: int | None = None
    last: int | None = None

    def seen(self, frame: pd.DataFrame) -> pd.DataFrame:
        self.bars += len(frame)
        self.symbols.update(frame["symbol"].unique())
        if len(frame):
            first, last = int(frame["close_time"].min()), int(frame["close_time"].max())
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)
        return frame


class _Bars(Part):
    """Some bars, sent as rows."""

    def __init__(self, frame: pd.DataFrame, rows: BarRows) -> None:
        super().__init__(rows.partitions(frame["symbol"]), frame["close_time"].to_numpy(np.int64))
        self._frame, self._rows = frame, rows

    async def send(self, sender: Sender, first: int, upto: int) -> None:
        for partition, rows in self._rows.of(self._frame.iloc[first:upto]):
            await sender.send_rows(rows, partition)
