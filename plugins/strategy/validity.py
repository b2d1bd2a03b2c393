"""Until when a signal may be traded."""

from dataclasses import dataclass
from typing import Any

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, DAY_MS, market_calendar
from plugins.base.streaming import IntArray
from schemas.configuration import Strategy
from schemas.wire import bar_length, interval_ms


@dataclass(frozen=True)
class Validity:
    """How long the signals of a strategy hold: `length_ms` from the bar's close, or by the sessions of `calendar`, to
    the end of the next bar of the market, which is `length_ms` long.
    """

    length_ms: int
    calendar: str | None = None

    def until(self, times: IntArray) -> IntArray:
        """Of signals at these closes of bars, all in ms since the epoch (UTC)."""
        if self.calendar is None:
            return times + self.length_ms
        return market_calendar(self.calendar).valid_until(times, self.length_ms)

    @property
    def resolved(self) -> dict[str, Any]:
        """What of it belongs into a resolved configuration: sessions by their digest, because a library's calendar
        changes with its version, and then so does what the signals say.
        """
        return {} if self.calendar is None else {"sessions": market_calendar(self.calendar).digest}


def validity_of(strategy: Strategy) -> Validity:
    """`ConfigurationError` for a calendar that there is not."""
    if strategy.valid_for is not None:
        return Validity(interval_ms(strategy.valid_for))
    calendar = strategy.execution.calendar
    return Validity(interval_ms(strategy.interval), None if calendar in (AUTO, ALWAYS_OPEN) else calendar)


def overlooks_weekends(strategy: Strategy) -> bool:
    """Does nothing say when its market rests, so that a daily signal of Friday ends before Monday?"""
    daily = DAY_MS <= bar_length(strategy.interval) < 7 * DAY_MS
    return daily and strategy.execution.calendar == AUTO and strategy.valid_for is None
