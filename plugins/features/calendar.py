"""`time.of_day`, `time.day_of_week`, `time.since_open`, `time.minutes_to_close`."""

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import field_validator

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO, market_calendar
from plugins.features import feature_registry
from plugins.fold import FeatureParams, FoldFeature
from plugins.fold.feature import StepParam
from plugins.fold.kernel import Step
from schemas.canonical import sha256_hex
from schemas.errors import ConfigurationError

DAY_MS, MINUTE_MS = 86_400_000, 60_000
FIRST_DAY, LAST_DAY = -25_567, 47_482
"""1900-01-01 and 2100-01-01, in days since 1970."""
Form = Literal["plain", "cyclic"]
Table = tuple[tuple[float, ...], tuple[float, ...]]
NEVER = 9e15
"""A time after every bar's; what fills a table up, so that tables of all markets have one compiled code."""


class _CalendarFeature(FoldFeature):
    """What the four share: a column, or its sine and cosine, by tables that depend on the parameters alone."""

    reads = ("time",)
    warmup = 0

    @property
    def outputs(self) -> tuple[str, ...]:  # type: ignore[override]
        name = self.key.partition(".")[2]
        return (name,) if self.params["form"] == "plain" else (f"{name}_sin", f"{name}_cos")

    @property
    def fields(self) -> tuple[str, ...]:
        return ("value",) if self.params["form"] == "plain" else ("sine", "cosine")

    @property
    def chosen_step(self) -> Step:
        return type(self).step if self.params["form"] == "plain" else type(self).turn

    @staticmethod
    def turn(state: Any, bar: Any, params: Any, out: Any) -> None:
        """The step of the cyclic form."""
        raise NotImplementedError

    def table(self) -> Table:
        """Times (ms), and a number for each."""
        raise NotImplementedError

    @property
    def calendar(self) -> str:  # type: ignore[override]
        """The digest of the table: a library's calendar changes with its version."""
        return sha256_hex(np.array(self.table()).astype("<f8").tobytes())[:16]

    def state(self) -> list[tuple[str, str]]:
        return [("none", "?")]

    def step_params(self) -> dict[str, StepParam]:
        times, numbers = self.table()
        size = 1 << (len(times) - 1).bit_length()
        fill = (NEVER,) * (size - len(times))
        return {"times": times + fill, "numbers": numbers + fill}


def place(times: Any, time: float) -> int:
    """Of the first of ascending `times` that is `time` or later."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


def set_turn(out: Any, part: float) -> None:
    """`part` of a whole turn, as its sine and cosine."""
    out.sine, out.cosine = math.sin(2.0 * math.pi * part), math.cos(2.0 * math.pi * part)


class _Zoned(FeatureParams):
    zone: str = "UTC"
    form: Form = "plain"

    @field_validator("zone")
    @classmethod
    def _there_is_one(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            raise ValueError(f"there is no time zone {value!r}; write one as America/New_York") from None
        return value


class _Sessions(FeatureParams):
    session: str = ALWAYS_OPEN
    form: Form = "plain"

    @field_validator("session")
    @classmethod
    def _there_is_one(cls, value: str) -> str:
        if value == AUTO:
            raise ValueError("auto says no sessions; write a name of exchange_calendars such as XNYS, or 24/7")
        if value != ALWAYS_OPEN:
            try:
                market_calendar(value, "session")
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return value


@lru_cache(maxsize=16)
def zone_table(zone: str) -> Table:
    """Last moments (ms since the epoch, UTC) of a zone's clock, and by how many ms it is ahead of UTC up to then."""
    where = ZoneInfo(zone)

    def ahead(second: int) -> int:
        offset = datetime.fromtimestamp(second, UTC).astimezone(where).utcoffset()
        return round(offset.total_seconds()) if offset else 0

    seconds = [day * 86_400 for day in range(FIRST_DAY, LAST_DAY)]
    known = [ahead(second) for second in seconds]
    ends, offsets = [], []
    for i in range(1, len(seconds)):
        if known[i] != known[i - 1]:
            low, high = seconds[i - 1], seconds[i]
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if ahead(middle) == known[i - 1] else (low, middle)
            ends.append(1000.0 * high)
            offsets.append(1000.0 * known[i - 1])
    return (*ends, NEVER), (*offsets, 1000.0 * known[-1])


@lru_cache(maxsize=16)
def session_table(session: str) -> Table:
    """When sessions close, and open (ms since the epoch, UTC)."""
    if session == ALWAYS_OPEN:
        return (NEVER,), (NEVER,)
    calendar = market_calendar(session, "session")
    return tuple(calendar.closes.astype(float).tolist()), tuple(calendar.opens.astype(float).tolist())


def local(params: Any, time: int) -> int:
    """The last moment of a bar that closes at `time`, by the zone's clock, in ms since 1970 there."""
    return time - 1 + int(params.numbers[place(params.times, time)])


def minute_of(params: Any, time: int) -> float:
    return (local(params, time) % DAY_MS + 1) / MINUTE_MS


def day_of(params: Any, time: int) -> int:
    return (local(params, time) // DAY_MS + 3) % 7


def since_open(params: Any, time: int) -> tuple[float, float]:
    """Milliseconds from the session's opening to the bar's close, and the session's length; NaN outside of one."""
    first = place(params.times, time)
    if params.times[0] == NEVER:
        past = (time - 1) % DAY_MS + 1
        return float(past), float(DAY_MS)
    if first < len(params.times) and params.times[first] < NEVER and params.numbers[first] < time:
        return time - params.numbers[first], params.times[first] - params.numbers[first]
    return math.nan, math.nan


@feature_registry.register("time.of_day")
class OfDay(_CalendarFeature):
    """Minutes from midnight to the bar's close, by a zone's clock: above 0, up to 1440.

    Parameters
    ----------
    zone
        An IANA name.
    form
        cyclic: `of_day_sin` and `of_day_cos` of a turn a day.

    Notes
    -----
    A bar that closes at midnight belongs to the day that ends. Always known.

    References
    ----------
    The zone's own rules: `zoneinfo`.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.DatetimeIndex(["2024-07-01 13:31", "2024-07-02 04:00"], tz="UTC")
    >>> OfDay(zone="America/New_York").compute(pd.DataFrame(index=times))["of_day"].tolist()
    [571.0, 1440.0]
    """

    class Params(_Zoned):
        pass

    def table(self) -> Table:
        return zone_table(self.params["zone"])

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        out.value = minute_of(params, bar.time)

    @staticmethod
    def turn(state: Any, bar: Any, params: Any, out: Any) -> None:
        set_turn(out, minute_of(params, bar.time) / 1440.0)


@feature_registry.register("time.day_of_week")
class DayOfWeek(_CalendarFeature):
    """Day of the week in which a bar lies, by a zone's clock: Monday 0 to Sunday 6.

    Parameters
    ----------
    zone
        An IANA name.
    form
        cyclic: `day_of_week_sin` and `day_of_week_cos` of a turn a week.

    Notes
    -----
    A bar that closes at midnight belongs to the day that ends. Always known.

    References
    ----------
    ``datetime.weekday`` of the moment before the close.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.DatetimeIndex(["2024-07-05 20:00", "2024-07-06 00:00"], tz="UTC")
    >>> DayOfWeek().compute(pd.DataFrame(index=times))["day_of_week"].tolist()
    [4.0, 4.0]
    """

    class Params(_Zoned):
        pass

    def table(self) -> Table:
        return zone_table(self.params["zone"])

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        out.value = day_of(params, bar.time)

    @staticmethod
    def turn(state: Any, bar: Any, params: Any, out: Any) -> None:
        set_turn(out, day_of(params, bar.time) / 7.0)


@feature_registry.register("time.since_open")
class SinceOpen(_CalendarFeature):
    """Minutes from the opening of a market's session to the bar's close: above 0, up to the session's length.

    Parameters
    ----------
    session
        A calendar of exchange_calendars, early closes included; 24/7: days by UTC.
    form
        cyclic: `since_open_sin` and `since_open_cos` of a turn a session.

    Notes
    -----
    NaN outside of sessions, and beyond those that the calendar knows. A break does not stop the clock.

    References
    ----------
    The schedule of `exchange_calendars`.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.DatetimeIndex(["2024-07-01 06:00"], tz="UTC")
    >>> SinceOpen().compute(pd.DataFrame(index=times))["since_open"].tolist()
    [360.0]
    """

    class Params(_Sessions):
        pass

    def table(self) -> Table:
        return session_table(self.params["session"])

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        past, _ = since_open(params, bar.time)
        out.value = past / MINUTE_MS

    @staticmethod
    def turn(state: Any, bar: Any, params: Any, out: Any) -> None:
        past, length = since_open(params, bar.time)
        set_turn(out, past / length)


@feature_registry.register("time.minutes_to_close")
class MinutesToClose(_CalendarFeature):
    """Minutes from the bar's close to the end of a market's session: 0 at the last bar.

    Parameters
    ----------
    session
        A calendar of exchange_calendars, early closes included; 24/7: days by UTC.
    form
        cyclic: `minutes_to_close_sin` and `minutes_to_close_cos` of a turn a session.

    Notes
    -----
    NaN outside of sessions, and beyond those that the calendar knows. A break does not stop the clock.

    References
    ----------
    The schedule of `exchange_calendars`.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.DatetimeIndex(["2024-07-01 06:00", "2024-07-02"], tz="UTC")
    >>> MinutesToClose().compute(pd.DataFrame(index=times))["minutes_to_close"].tolist()
    [1080.0, 0.0]
    """

    class Params(_Sessions):
        pass

    def table(self) -> Table:
        return session_table(self.params["session"])

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        past, length = since_open(params, bar.time)
        out.value = (length - past) / MINUTE_MS

    @staticmethod
    def turn(state: Any, bar: Any, params: Any, out: Any) -> None:
        past, length = since_open(params, bar.time)
        set_turn(out, (length - past) / length)
