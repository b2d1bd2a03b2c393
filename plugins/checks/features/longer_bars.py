"""Longer bars within a plugin: hours, days and sessions that are still forming, and markets' clocks."""

import numpy as np
import pandas as pd

from plugins.base.market_calendar import market_calendar
from plugins.checks.bars import walk
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.compare import difference
from plugins.checks.findings.outcome import Failed, Inapplicable

STEP = pd.Timedelta("20min")
DAYS = 4
SESSION, HALF_DAY = "XNYS", "2024-11-29"
"""The session of this day ends at 13:00 in New York."""
WEEKS = ("2024-03-04", "2024-03-11", "2024-11-04")
"""Mondays; New York's clocks go on before the second, back before the third."""


def forming_bars(subject: FeatureSubject) -> str:
    """Over bars of 20 minutes, those that come later in the same hour and day were cut off or changed."""
    if subject.cost > 0.1:
        raise Inapplicable("it is slow; `no_look_ahead` changed what comes after a bar")
    count = max(DAYS * 72, subject.memory + 2 * 72)
    bars = walk(count, 31)
    first = pd.Timestamp("2024-03-04", tz="UTC")
    bars.index = pd.date_range(first + STEP, periods=count, freq=STEP, name="time").as_unit("ms")
    whole = subject.compute(bars, "bars of 20 minutes")
    places = [count - 72 + row for row in (0, 1, 4, 12, 30, 31, 50, 70)]
    for place in places:
        changed = bars.copy()
        changed.iloc[place + 1 :] *= 3.0
        for how, data in (("were cut off", bars.iloc[: place + 1]), ("were multiplied by 3", changed)):
            seen = subject.compute(data, f"bars of 20 minutes of which those after {bars.index[place]} {how}")
            deviation = difference(whole.iloc[: place + 1], seen.iloc[: place + 1], subject.tolerance)
            if deviation is not None:
                raise Failed(
                    f"when bars after {bars.index[place]:%H:%M} of the same hour or day {how}, {deviation.text}",
                    'use the last complete longer bar: resample(…, closed="right", label="right"), joined backwards;'
                    " or leave it to the strategy: `interval: 1h`",
                )
    return f"{len(places)} bars within an hour and a day: what forms is not seen"


def sessions(subject: FeatureSubject) -> str:
    """Sessions of New York with the same bars, before and after its clocks change, and a half day, were compared."""
    if "session" not in (subject.cls.Params.model_fields if subject.cls.Params else {}):
        raise Inapplicable("it has no parameter `session`")
    try:
        plugin = subject.new(session=SESSION)
    except Exception as error:
        raise Inapplicable(f"its session {SESSION} is none: {error}") from None
    weeks = [subject.compute(_week(monday), f"the week of {monday}", plugin) for monday in WEEKS]
    for monday, week in zip(WEEKS[1:], weeks[1:], strict=True):
        deviation = difference(weeks[0].reset_index(drop=True), week.reset_index(drop=True), subject.tolerance)
        if deviation is not None:
            raise Failed(
                f"in the week of {monday} New York's clocks differ by an hour from those of {WEEKS[0]}, the bars of the"
                f" sessions are the same, and {deviation.text}",
                "take the sessions' times from the calendar, in UTC: market_calendar(name).opens and .closes",
            )
    _half_day(subject, subject.compute(_bars(HALF_DAY), "a half day", plugin), weeks[0])
    return f"{len(WEEKS)} weeks, and the half day of {HALF_DAY}"


def _half_day(subject: FeatureSubject, half: pd.DataFrame, week: pd.DataFrame) -> None:
    """What counts down to the close is at the last bars of a half day what it is at those of a whole one."""
    for name in half.columns:
        if "to_close" not in str(name):
            continue
        wanted = week[name].iloc[-len(half) :].to_numpy(np.float64)
        if str(name).endswith(("_sin", "_cos")):
            wanted, given = wanted[-1:], half[name].to_numpy(np.float64)[-1:]
        else:
            given = half[name].to_numpy(np.float64)
        if not np.allclose(given, wanted, rtol=0.0, atol=1e-6, equal_nan=True):
            raise Failed(
                f"on {HALF_DAY}, when the market closes at 13:00, {name} is {given[-1]:g} at the last bar, and"
                f" {wanted[-1]:g} at that of a whole day",
                "take the close of each session from the calendar: market_calendar(name).closes",
            )


def _week(monday: str) -> pd.DataFrame:
    """Half-hour bars of its sessions, the same in each week."""
    days = [f"{pd.Timestamp(monday) + pd.Timedelta(days=day):%Y-%m-%d}" for day in range(5)]
    frames = [_bars(day) for day in days]
    prices = walk(sum(map(len, frames)), 33)
    return prices.set_axis(pd.DatetimeIndex(np.concatenate([f.index for f in frames]), tz="UTC", name="time"))


def _bars(day: str) -> pd.DataFrame:
    """Half-hour bars of one session."""
    calendar = market_calendar(SESSION, "session")
    row = int(np.searchsorted(calendar.labels, int(pd.Timestamp(day).timestamp() * 1000)))
    half_hour = 1_800_000
    times = np.arange(calendar.opens[row] + half_hour, calendar.closes[row] + 1, half_hour)
    index = pd.DatetimeIndex(times.astype("datetime64[ms]"), tz="UTC", name="time")
    return walk(len(times), 34).set_axis(index)
