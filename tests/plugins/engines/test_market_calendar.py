"""Sessions of markets. Their counts are those that exchange_calendars 4.13.2 has with pandas 2.3.3, for which it was
made; single days are from the exchanges' own notices.
"""

import sys

import numpy as np
import pandas as pd
import pytest

from plugins.base import market_calendar as module
from plugins.base.market_calendar import MarketCalendar, check_calendar, market_calendar
from schemas.errors import ConfigurationError

pytest.importorskip("exchange_calendars", reason="pip install 'alphawire[calendars]'")

YEARS = (2012, 2016, 2021, 2024, 2025)
WITH_PANDAS_2 = {
    "XTAE": (247, 245, 244, 246, 246),
    "ASEX": (249, 249, 250, 248, 248),
    "XBEL": (252, 253, 252, 251, 248),
    "XBSE": (250, 252, 254, 252, 250),
    "XCYS": (247, 248, 247, 246, 245),
    "XBOM": (247, 246, 247, 246, 248),
    "XMOS": (255, 252, 255, 256, 251),
    "XNYS": (250, 252, 252, 252, 250),
}


def sessions(calendar: MarketCalendar) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(calendar.labels.astype("datetime64[ms]"))


@pytest.mark.parametrize("name", WITH_PANDAS_2)
def test_sessions_are_those_of_pandas_2(name: str) -> None:
    years = sessions(market_calendar(name)).year
    assert tuple(int((years == year).sum()) for year in YEARS) == WITH_PANDAS_2[name]


@pytest.mark.parametrize(
    ("name", "day", "open_"),
    [
        ("XBOM", "2024-01-20", True),  # Bombay: a Saturday of two sessions, to try the other site
        ("XBOM", "2025-02-01", True),  # the budget, on a Saturday
        ("XMOS", "2012-06-09", True),  # Moscow worked on that Saturday
        ("XBOM", "2024-01-27", False),
        ("ASEX", "2024-05-03", False),  # Orthodox Good Friday
        ("ASEX", "2024-03-29", False),  # western Good Friday: Athens rests then, too
        ("XTAE", "2024-06-12", False),  # Pentecost
        ("XTAE", "2024-10-20", True),  # a Sunday
    ],
)
def test_special_days(name: str, day: str, open_: bool) -> None:
    assert (pd.Timestamp(day) in sessions(market_calendar(name))) is open_


def test_a_session_has_its_hours_and_its_break() -> None:
    """Hong Kong on 2024-06-03: 9:30 to 12 and 13 to 16, UTC+8."""
    calendar = market_calendar("XHKG")
    place = int(np.searchsorted(calendar.labels, pd.Timestamp("2024-06-03").value // 10**6))
    hours = [
        pd.Timestamp(int(column[place]), unit="ms").strftime("%H:%M")
        for column in (calendar.opens, calendar.break_starts, calendar.break_ends, calendar.closes)
    ]
    assert hours == ["01:30", "04:00", "05:00", "08:00"]
    assert int(calendar.lengths_ms[place]) == 330 * 60_000


def test_the_digest_follows_the_sessions() -> None:
    one, other = market_calendar("XNYS"), market_calendar("XLON")
    assert one.digest != other.digest
    assert one.digest == market_calendar("NYSE").digest
    shorter = MarketCalendar(
        "x", one.labels[1:], one.opens[1:], one.break_starts[1:], one.break_ends[1:], one.closes[1:]
    )
    assert shorter.digest != one.digest


def test_wrong_sessions_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with versions that nobody has tried yet: the library's own offset under pandas 3 loses two Saturdays."""
    monkeypatch.setattr(module, "_mended", lambda factory: factory)
    module._calendar.cache_clear()
    with pytest.raises(ConfigurationError, match=r"XBOM of .* with pandas .* has \d+ wrong sessions") as one:
        check_calendar("XBOM")
    assert "2024-01-20" in str(one.value)
    assert "\n" not in str(one.value)


def test_a_calendar_that_cannot_be_built_is_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unbuildable(name: str) -> None:
        raise ValueError("Special dates are not sessions.\n" * 500)

    monkeypatch.setattr(module, "_built", unbuildable)
    module._calendar.cache_clear()
    with pytest.raises(ConfigurationError, match=r"execution.calendar: XTAE of .* cannot be built: ValueError") as one:
        check_calendar("XTAE")
    assert len(str(one.value)) < 300
    assert "\n" not in str(one.value)


def test_without_the_library_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    module._calendar.cache_clear()
    with pytest.raises(
        ConfigurationError, match=r"XNYS needs exchange_calendars; pip install 'alphawire\[calendars\]'"
    ):
        check_calendar("XNYS")
    check_calendar("auto")
    check_calendar("24/7")
