"""A committed record of `signals`, as consumers get it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from schemas.errors import BadRecord
from schemas.wire.avro_signals import decode_signal, signal_json


class Published(NamedTuple):
    """`data`: its JSON, the bytes on the log unless they are Avro."""

    partition: int
    offset: int
    strategy: str
    symbol: str
    time: int
    data: bytes


class Deleted(NamedTuple):
    """Records that a reader asked for and that are gone: offsets from `begin` up to, not including, `end`."""

    partition: int
    begin: int
    end: int


@dataclass(frozen=True)
class Wanted:
    """Which signals a reader wants; None: all."""

    strategy: str | None = None
    symbol: str | None = None
    begin: int | None = None
    """Bars that close at this time (ms since the epoch, UTC) or later."""
    end: int | None = None
    """Bars that close before this time."""

    def includes(self, signal: Published) -> bool:
        """Is it one of them?"""
        return (
            self.strategy in (None, signal.strategy)
            and self.symbol in (None, signal.symbol)
            and (self.begin is None or signal.time >= self.begin)
            and (self.end is None or signal.time < self.end)
        )


class _Content(msgspec.Struct):
    strategy: str
    symbol: str
    time: int


class _Signal(msgspec.Struct):
    content: _Content


_decoder = msgspec.json.Decoder(_Signal)


def published(record: Any) -> Published | None:
    """None for what is no signal: whoever writes to the topic besides workers is not passed on."""
    data = signal_json(record.value)
    try:
        decode_signal(data)
        content = _decoder.decode(data).content
    except (BadRecord, msgspec.MsgspecError):
        return None
    return Published(record.partition, record.offset, content.strategy, content.symbol, content.time, data)
