"""Kinds of bars, by the name that their `interval` has: ``1m``, ``tick:500``, ``volume:10000``, ``dollar:1000000``,
``imbalance:500``.

>>> BarKind.of("60m").name, BarKind.of("volume:1e4").name
('1h', 'volume:10000')
"""

from dataclasses import dataclass

from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval, interval_ms
from schemas.wire.fields import threshold_of

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
        if (size := threshold_of(interval)) is not None:
            return cls(interval.partition(":")[0], size, canonical_interval(interval))
        try:
            return cls(TIME, interval_ms(interval), canonical_interval(interval))
        except ValueError:
            raise ConfigurationError(
                f"{interval!r} is no kind of bars; write an interval such as 1m, or one of"
                f" {', '.join(f'{name}:NUMBER' for name in THRESHOLDS)} (above 0; of tick and imbalance a whole one)"
            ) from None


@dataclass(frozen=True)
class TimeRules:
    """How time bars are made. `lateness_ms`: for so long after its end one waits for trades that come late. `session`:
    of the market of this name, whose sessions have the digest `sessions`. `flat`: so many bars in a row may be without
    trades.
    """

    lateness_ms: int = 0
    session: str | None = None
    sessions: str | None = None
    flat: int = 0
