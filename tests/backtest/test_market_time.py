"""The market's time between bars: sessions counted by hand, and gaps cut out of whole data."""

import numpy as np
import pandas as pd
import pytest

from backtest.sources.market_time import as_records, describe_market_gaps, gaps_of, market_steps

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def closes_of(times: pd.DatetimeIndex, interval_ms: int) -> np.ndarray:
    return (times.tz_convert("UTC").as_unit("ms").asi8 + interval_ms).astype(np.int64)


def sessions(first: str, last: str, interval: str, opens: str = "09:30", closes: str = "15:59") -> pd.DatetimeIndex:
    """Starts of the bars of New York's weekdays: no holidays lie in these weeks."""
    days = pd.bdate_range(first, last)
    parts = [
        pd.date_range(f"{d:%Y-%m-%d} {opens}", f"{d:%Y-%m-%d} {closes}", freq=interval, tz="America/New_York")
        for d in days
    ]
    return parts[0].append(parts[1:])


def days_of(zone: str, first: str = "2024-01-02", last: str = "2024-12-31") -> pd.DatetimeIndex:
    exchange_calendars = pytest.importorskip("exchange_calendars")
    calendar = exchange_calendars.get_calendar("XNYS", start=first, end=last)
    return pd.DatetimeIndex([pd.Timestamp(f"{label:%Y-%m-%d}", tz=zone) for label in calendar.schedule.index])


WHOLE = {
    "minutes of sessions, over summer time": (sessions("2024-02-26", "2024-03-22", "min"), MINUTE),
    "minutes of a Friday, a Monday and a Tuesday: one night": (sessions("2024-03-01", "2024-03-05", "min"), MINUTE),
    "hours of sessions": (sessions("2024-02-26", "2024-03-22", "h"), HOUR),
    "days in New York": (days_of("America/New_York"), DAY),
    "days in UTC": (days_of("UTC"), DAY),
}


@pytest.mark.parametrize("calendar", ["auto", "XNYS"])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_data_has_no_gaps(name: str, calendar: str) -> None:
    """Nights, weekends, holidays and summer time are rests of the market."""
    times, length = WHOLE[name]
    assert np.unique(market_steps(closes_of(times, length), length, calendar)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "freq", "count"), [("crypto", "h", 24 * 60), ("a minute of crypto", "min", 4_000), ("days", "D", 400)]
)
def test_always_open_data_has_no_rests(name: str, freq: str, count: int) -> None:
    times = pd.date_range("2024-03-01", periods=count, freq=freq, tz="UTC")
    length = {"h": HOUR, "min": MINUTE, "D": DAY}[freq]
    closes = closes_of(times, length)
    for calendar in ("auto", "24/7"):
        assert (market_steps(closes, length, calendar) == 1.0).all()
        holed = np.delete(closes, np.arange(count // 2, count // 2 + 30))
        assert market_steps(holed, length, calendar).max() == 31.0


def test_lunch_and_the_weekends_of_currencies_are_rests() -> None:
    tokyo = [
        pd.date_range(f"2024-03-{day:02} {start}", f"2024-03-{day:02} {end}", freq="min", tz="Asia/Tokyo")
        for day in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15) for start, end in (("09:00", "11:29"), ("12:30", "15:24"))
    ]  # fmt: skip
    assert (market_steps(closes_of(tokyo[0].append(tokyo[1:]), MINUTE), MINUTE, "auto") == 1.0).all()
    hours = pd.date_range("2024-03-03 22:00", "2024-04-26 20:00", freq="h", tz="UTC")
    open_hours = hours[
        (hours.day_of_week < 4)
        | ((hours.day_of_week == 4) & (hours.hour < 22))
        | ((hours.day_of_week == 6) & (hours.hour >= 22))
    ]
    assert (market_steps(closes_of(open_hours, HOUR), HOUR, "auto") == 1.0).all()


@pytest.mark.parametrize("calendar", ["auto", "XNYS"])
def test_a_hole_of_sessions_is_counted(calendar: str) -> None:
    """Three whole sessions of March, of 390 minutes each, and a morning."""
    times = sessions("2024-02-26", "2024-03-22", "min")
    lost = (times >= "2024-03-12") & (times < "2024-03-15")
    lost |= (times >= "2024-03-19 10:00") & (times < "2024-03-19 12:00")
    closes = closes_of(times[~lost], MINUTE)
    bars = pd.DataFrame({"symbol": "A", "close_time": closes})
    gaps = gaps_of(bars, MINUTE, calendar)
    assert len(gaps) == 2
    assert gaps[1].missing == 120
    if calendar == "XNYS":
        assert gaps[0].missing == 3 * 390
    assert (pd.Timestamp(gaps[0].after, unit="ms"), pd.Timestamp(gaps[0].until, unit="ms")) == (
        pd.Timestamp("2024-03-11 20:00"), pd.Timestamp("2024-03-15 13:31"),
    )  # fmt: skip


@pytest.mark.parametrize("first", range(1, 6))
@pytest.mark.parametrize("weeks", [6, 20])
def test_a_gap_counts_weekdays_wherever_the_data_begins(first: int, weeks: int) -> None:
    """Mondays to Fridays without holidays, of which eleven weeks are missing: 55 bars, by counting them."""
    days = pd.bdate_range(f"2024-01-{first:02}", periods=5 * (weeks + 11 + weeks), tz="UTC")
    lost = (days >= "2024-03-04") & (days < "2024-05-20")
    assert lost.sum() == 55
    bars = pd.DataFrame({"symbol": "A", "close_time": closes_of(days[~lost], DAY)})
    assert [gap.missing for gap in gaps_of(bars, DAY, "auto")] == [55]


def test_years_without_bars_are_told_in_a_line() -> None:
    days = days_of("UTC", "2014-01-02", "2019-12-31")
    kept = days[(days < "2014-05-03") | (days >= "2018-04-02")]
    bars = pd.DataFrame({"symbol": "A", "close_time": closes_of(kept, DAY)})
    (gap,) = gaps_of(bars, DAY, "XNYS")
    lost = len(days) - len(kept)
    assert gap.missing == lost
    text = describe_market_gaps([gap])
    assert (
        text
        == f"{lost:,} bars are missing in 1 gap of 1 symbol: A 2014-05-03 00:00 to 2018-04-03 00:00 ({lost:,} bars)"
    )
    assert as_records([gap])["missing"] == lost
    assert describe_market_gaps([]) is None
    (guessed,) = gaps_of(bars, DAY, "auto")
    assert guessed.missing == pytest.approx(lost, rel=0.01)


def test_few_bars() -> None:
    assert market_steps(np.array([], np.int64), MINUTE, "auto").tolist() == []
    assert market_steps(np.array([MINUTE]), MINUTE, "XNYS").tolist() == []
    assert market_steps(np.array([MINUTE, 3 * MINUTE]), MINUTE, "auto").tolist() == [2.0]
