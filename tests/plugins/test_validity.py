"""Until when a signal may be traded: by the sessions of exchanges, as they publish them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugins.strategy.ready import held_for_an_interval, ready_strategy
from plugins.strategy.validity import overlooks_weekends, validity_of
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError

pytest.importorskip("exchange_calendars", reason="pip install 'alphawire[calendars]'")


def strategy(interval: str = "1d", calendar: str = "XNYS", **more: Any) -> Strategy:
    return Strategy(
        interval=interval, features=["technical.rsi"], prediction="rsi", signal="signal.threshold",
        execution={"calendar": calendar}, **more,
    )  # fmt: skip


def until(time: str, interval: str = "1d", calendar: str = "XNYS", **more: Any) -> str:
    at = np.array([pd.Timestamp(time, tz="UTC").value // 10**6], np.int64)
    found = validity_of(strategy(interval, calendar, **more)).until(at)
    return pd.Timestamp(found[0], unit="ms").strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-03-09", "2024-03-12 00:00"),  # Friday's bar, by Monday's
        ("2024-03-08", "2024-03-09 00:00"),  # Thursday's, by Friday's
        ("2024-03-29", "2024-04-02 00:00"),  # before Good Friday and a weekend
        ("2024-03-09 05:00", "2024-03-12 05:00"),  # days that begin at New York's midnight
        ("2024-02-03 14:30", "2024-02-06 14:30"),  # or at its opening
        ("2024-12-24", "2024-12-25 00:00"),  # a half day is a session
        ("2024-12-25", "2024-12-27 00:00"),
    ],
)
def test_days_of_new_york(time: str, expected: str) -> None:
    assert until(time) == expected


@pytest.mark.parametrize(
    ("time", "interval", "expected"),
    [
        ("2024-03-08 20:59", "1m", "2024-03-08 21:00"),
        ("2024-03-08 21:00", "1m", "2024-03-11 13:31"),  # 16:00 in winter, 9:30 in summer time
        ("2024-07-03 17:00", "1m", "2024-07-05 13:31"),  # a half day before a holiday
        ("2024-03-11 13:00", "1m", "2024-03-11 13:31"),  # before the opening of the day
        ("2024-03-11 13:30", "1m", "2024-03-11 13:31"),
        (
            "2024-03-08 21:00",
            "1h",
            "2024-03-11 14:00",
        ),  # bars by the clock: the first ends after half an hour
        ("2024-03-08 21:30", "1h", "2024-03-11 14:30"),  # bars from the opening on
        ("2024-03-08 20:30", "1h", "2024-03-08 21:30"),  # the session's last bar is a short one
    ],
)
def test_bars_within_a_session_of_new_york(time: str, interval: str, expected: str) -> None:
    assert until(time, interval) == expected


@pytest.mark.parametrize(
    ("calendar", "time", "interval", "expected"),
    [
        ("XHKG", "2024-06-03 04:00", "1m", "2024-06-03 05:01"),  # over the lunch break
        ("XHKG", "2024-06-03 04:00", "1h", "2024-06-03 06:00"),
        ("XASX", "2024-03-09", "1d", "2024-03-12 00:00"),  # Sydney opens on Sunday 23:00 UTC, for Monday's session
        ("XNZE", "2024-03-09", "1d", "2024-03-12 00:00"),
        ("CMES", "2024-03-09", "1d", "2024-03-12 00:00"),
        (
            "CMES",
            "2024-03-08 23:00",
            "1h",
            "2024-03-10 23:00",
        ),  # Chicago, summer time since
        ("XBOM", "2024-01-20", "1d", "2024-01-21 00:00"),  # Friday's bar, by the special Saturday's
        ("XTAE", "2024-06-07", "1d", "2024-06-10 00:00"),  # Tel Aviv then traded on Sundays
        ("XNYS", "2024-03-11", "7d", "2024-03-18 00:00"),
        ("XNYS", "2060-01-02", "1d", "2060-01-03 00:00"),  # beyond the known sessions
        ("24/7", "2024-03-09", "1d", "2024-03-10 00:00"),
        ("auto", "2024-03-09", "1d", "2024-03-10 00:00"),
    ],
)
def test_other_markets(calendar: str, time: str, interval: str, expected: str) -> None:
    assert until(time, interval, calendar) == expected


def test_valid_for_goes_by_the_clock() -> None:
    assert until("2024-03-09", valid_for="3d") == "2024-03-12 00:00"
    assert until("2024-03-08 20:59", "1m", valid_for="90s") == "2024-03-08 21:00"
    with pytest.raises(ValueError, match="not an interval"):
        strategy(valid_for="soon")


def test_many_times_at_once() -> None:
    times = pd.date_range("2024-03-01", "2024-04-30", freq="7h", tz="UTC")
    validity = validity_of(strategy("1h"))
    together = validity.until(times.as_unit("ms").asi8)
    assert together.tolist() == [validity.until(np.array([time], np.int64))[0] for time in times.as_unit("ms").asi8]
    assert (np.array(together) > times.as_unit("ms").asi8).all()


def test_hashes_change_only_where_sessions_decide() -> None:
    """A configuration of before has its hash, and what ran under a named calendar can be made as it ran."""
    plain, named = (ready_strategy("s", strategy(calendar=calendar)) for calendar in ("auto", "XNYS"))
    assert "valid_for" not in plain.config
    assert "sessions" not in plain.config
    assert len(named.config["sessions"]) == 16
    before = held_for_an_interval(named)
    assert "sessions" not in before.config
    assert before.config_hash != named.config_hash
    assert before.validity.until(np.array([0], np.int64)) == [86_400_000]
    assert held_for_an_interval(plain).config_hash == plain.config_hash
    fixed = ready_strategy("s", strategy(valid_for="3d"))
    assert fixed.config["valid_for"] == "3d"
    assert "sessions" not in fixed.config


@pytest.mark.parametrize(
    ("change", "overlooks"),
    [
        ({}, True),
        ({"interval": "7d"}, False),
        ({"interval": "1h"}, False),
        ({"calendar": "24/7"}, False),
        ({"calendar": "XNYS"}, False),
        ({"valid_for": "4d"}, False),
    ],
)
def test_a_worker_is_told_that_nothing_says_when_its_market_rests(change: dict[str, Any], overlooks: bool) -> None:
    assert overlooks_weekends(strategy(**{"calendar": "auto"} | change)) is overlooks


def test_a_calendar_that_there_is_not_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"execution\.calendar: there is no calendar 'XNYZ'"):
        ready_strategy("s", strategy(calendar="XNYZ"))
