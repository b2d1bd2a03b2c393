"""Ranges of offsets by partition: what ``--offsets`` shows of the topic `bars`."""

import re
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from plugins.pipeline.records.signals import Signals
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import ConfigurationError
from schemas.wire import Signal
from streams.kafka.log import Log
from streams.kafka.topics import topic_name

Offsets = Mapping[int, range]
FORM = re.compile(r"(\d+):(\d*)-(\d*)")


def parse_offsets(text: str) -> dict[int, range]:
    """``PARTITION:FIRST-STOP,…``: offsets from FIRST up to, not including, STOP; without FIRST from the oldest on,
    without STOP to the end of the log.

    >>> parse_offsets("0:100-5000,2:-70")
    {0: range(100, 5000), 2: range(0, 70)}
    """
    ranges: dict[int, range] = {}
    for part in text.split(","):
        match = FORM.fullmatch(part.strip())
        if match is None:
            raise ConfigurationError(f"--offsets {part}: write PARTITION:FIRST-STOP, such as 0:100-5000,1:200-")
        partition, span = int(match[1]), range(int(match[2] or 0), int(match[3] or sys.maxsize))
        if not span:
            raise ConfigurationError(f"--offsets {part}: the range is empty: it goes up to, not including, {span.stop}")
        if partition in ranges:
            raise ConfigurationError(f"--offsets {part}: partition {partition} is there twice")
        ranges[partition] = span
    return ranges


def check_whole(ready: ReadyStrategy) -> None:
    """`ConfigurationError` for a strategy that decides about all symbols at once: its signals are of no one partition's
    bars.
    """
    if ready.at_once:
        raise ConfigurationError(
            f"{ready.generator.key} decides about bars of all partitions at once; use --from and --to, not --offsets"
        )


async def check_offsets(log: Log, offsets: Offsets) -> None:
    """`ConfigurationError` for a partition that is not there, and for a range that the log does not reach."""
    count = await log.partition_count()
    for partition, span in offsets.items():
        topic = topic_name(log, "bars")
        if partition >= count:
            raise ConfigurationError(f"--offsets {partition}:…: {topic} has {count} partitions, from 0 on")
        oldest, end = await log.offset_range("bars", partition)
        if span.start >= end or span.stop <= oldest:
            there = f"holds offsets {oldest} to {end - 1}" if end > oldest else "is empty"
            raise ConfigurationError(f"--offsets {partition}:…: {topic}/{partition} {there}")


def signals_within(signals: Sequence[Signal], offsets: Offsets | None) -> Sequence[Signal]:
    """Those of bars in these ranges; None: all."""
    if offsets is None:
        return signals
    if isinstance(signals, Signals):
        return signals.where(lambda bars: _within(bars.accepted.offsets, offsets.get(bars.source.partition)))
    return [signal for signal in signals if signal.provenance.offset in offsets.get(signal.provenance.partition, ())]


def _within(offsets: IntArray, span: range | None) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (
        np.zeros(len(offsets), np.bool_) if span is None else (offsets >= span.start) & (offsets < span.stop)
    )
    return inside


def bars_within(bars: pd.DataFrame, offsets: Offsets | None) -> pd.DataFrame:
    """The same of a frame with `partition` and `offset`."""
    if offsets is None or not len(bars):
        return bars
    partition, offset = bars["partition"].to_numpy(), bars["offset"].to_numpy()
    inside = np.zeros(len(bars), np.bool_)
    for number, span in offsets.items():
        inside |= (partition == number) & (offset >= span.start) & (offset < span.stop)
    return bars[inside].reset_index(drop=True)
