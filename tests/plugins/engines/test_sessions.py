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
    """New York's 390 minutes on five days; Friday evening there is Saturday in UTC, and no weekend."""
    days = [
        pd.date_range(f"{day.date()} 14:31", periods=390, freq="1min", tz="UTC")
        for day in pd.bdate_range("2024-01-08", periods=5)
    ]
    evening = pd.date_range("2024-01-13 00:30", periods=20, freq="1min", tz="UTC")
    expected = 365.25 * 5 / 7 * 390
    assert periods_per_year(days[0].append([*days[1:], evening]), 60_000) == pytest.approx(expected)


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
