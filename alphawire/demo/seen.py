"""What a consumer of the signals topic saw."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.wire import Signal, SignalContent, encode

SIDES = ("BUY", "SELL")


class Wire(msgspec.Struct):
    """A signal whose content is kept as it came, to the byte."""

    content: msgspec.Raw


_wire = msgspec.json.Decoder(Wire)
_content = msgspec.json.Decoder(SignalContent)


@dataclass
class Seen:
    """Every decision once, as its bytes came; and how often one came again, equal or not."""

    contents: dict[str, bytes] = field(default_factory=dict)
    decisions: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    unequal: int = 0
    _order: dict[str, tuple[int, str]] = field(default_factory=dict)
    _side: dict[str, str] = field(default_factory=dict)

    def take(self, value: bytes) -> SignalContent | None:
        """Notes one record; the signal when it turns its symbol from BUY to SELL or back, else None."""
        raw = bytes(_wire.decode(value).content)
        signal = _content.decode(raw)
        if (known := self.contents.get(signal.id)) is not None:
            self.repeats += 1
            self.unequal += known != raw
            return None
        self.contents[signal.id] = raw
        self._order[signal.id] = (signal.time, signal.symbol)
        decision = str(signal.signal)
        self.decisions[decision] += 1
        if decision not in SIDES or self._side.get(signal.symbol) == decision:
            return None
        self._side[signal.symbol] = decision
        return signal

    def lines(self) -> bytes:
        """The contents, one a line, by time and symbol."""
        ordered = sorted(self.contents, key=self._order.__getitem__)
        return b"".join(self.contents[identity] + b"\n" for identity in ordered)


def lines_of(signals: Iterable[Signal]) -> bytes:
    """As `Seen.lines`, of signals from a replay."""
    seen = Seen()
    for signal in signals:
        seen.take(encode(signal))
    return seen.lines()
