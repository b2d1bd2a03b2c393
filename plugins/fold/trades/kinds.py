"""Kinds of bars, by the name that their `interval` has: ``1m``, ``tick:500``, ``volume:10000``, ``dollar:1000000``,
``imbalance:500``.

>>> BarKind.of("60m").name, BarKind.of("volume:1e4").name
('1h', 'volume:10000')
"""

import math
from dataclasses import dataclass

from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval, interval_ms

TIME = "time"
THRESHOLDS = ("tick", "volume", "dollar", "imbalance")


@dataclass(frozen=True)
class BarKind:
    """What closes a bar: `kind` ``time`` after `size` ms, another one at the threshold `size`."""

    kind: str
    size: float
    name: str

    @classmethod
    def of(cls, interval: str) -> "BarKind":
        """`ConfigurationError` for a name that is none."""
        kind, _, threshold = interval.partition(":")
        if threshold and kind in THRESHOLDS:
            return cls(kind, _threshold(interval, kind, threshold), f"{kind}:{_plain(float(threshold))}")
        try:
            return cls(TIME, interval_ms(interval), canonical_interval(interval))
        except ValueError:
            raise ConfigurationError(
                f"{interval!r} is no kind of bars; write an interval such as 1m, or one of"
                f" {', '.join(f'{name}:NUMBER' for name in THRESHOLDS)}"
            ) from None


def _threshold(interval: str, kind: str, text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    whole = kind in ("tick", "imbalance")
    if not (0 < size < math.inf) or (whole and size != int(size)):
        raise ConfigurationError(f"{interval!r}: the threshold is {'a whole number' if whole else 'a number'} above 0")
    return size


def _plain(size: float) -> str:
    return str(int(size)) if size == int(size) and size < 1e15 else repr(size)
