"""Bars in a year: New York's sessions as the exchange counts them (https://www.nyse.com: 250 in 2012, 252 in 2013 to
2016, 251 in 2017), the others by hand.
"""

import pandas as pd
import pytest

from plugins.engines.results.sessions import periods_per_year
from schemas.errors import ConfigurationError
from schemas.wire import interval_ms


def every(freq: str, count: int, start: str = "2024-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq=freq, tz="UTC")


WEEKDAYS = pd.bdate_range("2023-01-02", "2024-12-31", tz="UTC")
"""522 days from the first to the last of 730."""


@pytest.mark.parametrize(
    ("times", "interval", "calendar", "expected"),
    [
        (every("1D", 30, "2014-05-01"), "1d", "XNYS", 252),
        (pd.DatetimeIndex(["2012-09-04", "2017-09-01"], tz="UTC"), "1d", "XNYS", (250 + 4 * 252 + 251) / 6),
        (every("1min", 50, "2014-05-01 14:31"), "1m", "XNYS", 252 * 390),
        (every("1h", 50, "2014-05-01 14:30"), "1h", "XNYS", 252 * 7),
        (every("7D", 30), "7d", "XNYS", 365.25 / 7),
        (every("1D", 30), "1d", "24/7", 365.25),
        (every("1min", 30), "1m", "24/7", 365.25 * 1440),
        (every("1min", 30), None, "24/7", 365.25 * 1440),
        (every("7D", 30), None, "auto", 365.25 / 7),
        (every("1D", 30), "1d", "auto", 365.25),
        (every("1min", 14400, "2024-01-01 00:01"), "1m", "auto", 365.25 * 1440),
        (every("1h", 240, "2024-01-01 01:00"), "1h", "auto", 365.25 * 24),
        (pd.bdate_range("2024-01-01", periods=30, tz="UTC"), "1d", "auto", 365.25 * 5 / 7),
        (WEEKDAYS, "1d", "auto", 522 / (730 / 365.25)),
        (WEEKDAYS, None, "auto", 522 / (730 / 365.25)),
    ],
)
def test_periods_per_year(times: pd.DatetimeIndex, interval: str | None, calendar: str, expected: float) -> None:
    length = interval_ms(interval) if interval else None
    assert periods_per_year(times, length, calendar) == pytest.approx(expected, rel=1e-12)


def test_stock_minutes_without_a_calendar() -> None:
    """New York's 390 minutes on five days; twenty of Friday evening there are Saturday in UTC, and no weekend."""
    days = [
        pd.date_range(f"{day.date()} 14:31", periods=390, freq="1min", tz="UTC")
        for day in pd.bdate_range("2024-01-08", periods=5)
    ]
    evening = pd.date_range("2024-01-13 00:30", periods=20, freq="1min", tz="UTC")
    expected = 365.25 / 7 * (5 * 390 + 20)
    assert periods_per_year(days[0].append([*days[1:], evening]), 60_000) == pytest.approx(expected)


def currencies(first: str, last: str) -> pd.DatetimeIndex:
    """Closes of hourly bars from Sunday 22:00 to Friday 22:00 (UTC): 120 a week."""
    opens = pd.date_range(first, last, freq="1h", tz="UTC")
    day, hour = opens.day_of_week, opens.hour
    return opens[(day < 4) | ((day == 4) & (hour < 22)) | ((day == 6) & (hour >= 22))] + pd.Timedelta(hours=1)


@pytest.mark.parametrize("last", ["2024-01-06", "2022-07-02", "2022-01-29"])
def test_hours_of_currencies(last: str) -> None:
    """Weeks of 120 bars, however many of them: their Sunday evening is no sixth session."""
    found = periods_per_year(currencies("2022-01-02", last), 3_600_000)
    assert found == pytest.approx(365.25 / 7 * 120, rel=2e-3)


def evenings(weeks: int) -> pd.DatetimeIndex:
    """Closes of hourly bars of seven hours from 21:00 UTC on the evening before each weekday, as in New Zealand."""
    opens = [
        pd.date_range(day - pd.Timedelta(hours=3), periods=7, freq="1h")
        for day in pd.bdate_range("2024-01-01", periods=5 * weeks, tz="UTC")
    ]
    return opens[0].append(opens[1:]) + pd.Timedelta(hours=1)


@pytest.mark.parametrize("weeks", [8, 104])
def test_sessions_across_midnight(weeks: int) -> None:
    assert periods_per_year(evenings(weeks), 3_600_000) == pytest.approx(365.25 / 7 * 5 * 7, rel=5e-3)


def test_a_special_saturday_is_no_weekday() -> None:
    days = pd.bdate_range("2024-01-01", "2024-06-28", tz="UTC").union(pd.DatetimeIndex(["2024-01-20"], tz="UTC"))
    assert periods_per_year(days + pd.Timedelta(days=1), 86_400_000) == pytest.approx(365.25 * 5 / 7)


def test_holidays_and_a_short_first_day_do_not_count_in_short_data() -> None:
    """Three weeks of hours, of which a Wednesday is free and the first day begins late."""
    hours = evenings(3)
    free = (hours - pd.Timedelta(hours=1)).floor("D") == pd.Timestamp("2024-01-10", tz="UTC")
    assert periods_per_year(hours[~free][5:], 3_600_000) == pytest.approx(365.25 / 7 * 5 * 7)


def test_holes_are_no_time_of_the_market() -> None:
    """Two months in 2014 and two in 2018 are bars of weekdays, not forty a year."""
    spring, later = (
        pd.bdate_range("2014-05-01", "2014-06-30", tz="UTC"),
        pd.bdate_range("2018-03-01", "2018-04-30", tz="UTC"),
    )
    assert periods_per_year(spring.append(later), 86_400_000) == pytest.approx(365.25 * 5 / 7)


def test_rare_bars_have_no_holes() -> None:
    times = pd.date_range("2020-01-01", periods=60, freq="20D", tz="UTC")
    assert periods_per_year(times, 86_400_000) == pytest.approx(365.25 / 20, rel=0.02)


def test_years_beyond_a_calendar_are_those_next_to_them() -> None:
    """Riyadh is known from 2021 on; 2019 to 2021 are judged by 2021."""
    pytest.importorskip("exchange_calendars")
    known = periods_per_year(pd.DatetimeIndex(["2021-02-01", "2021-09-01"], tz="UTC"), 86_400_000, "XSAU")
    assert periods_per_year(pd.DatetimeIndex(["2019-02-01", "2021-09-01"], tz="UTC"), 86_400_000, "XSAU") == known


def test_a_lunch_break_is_no_trading_time() -> None:
    """Hong Kong trades from 9:30 to 12 and from 13 to 16: 330 minutes; 246 days in 2023."""
    pytest.importorskip("exchange_calendars")
    found = periods_per_year(every("1min", 50, "2023-05-02 02:00"), 60_000, "XHKG")
    assert found / 330 == pytest.approx(round(found / 330))
    assert 244 <= found / 330 <= 249


@pytest.mark.parametrize(
    ("name", "said"),
    [("XNYZ", "there is no calendar 'XNYZ'; auto, .*XNYS"), ("moon", "no calendar 'moon'; auto, 24/7, or a name of")],
)
def test_unknown_calendar(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"execution.calendar: .*{said}"):
        periods_per_year(every("1D", 30), 86_400_000, name)
