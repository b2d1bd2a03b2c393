"""Calendar features. Oracles: `zoneinfo` and `exchange_calendars`, asked directly for each bar."""

import math
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from plugins.checks import check_plugin
from plugins.features import feature_registry
from plugins.strategy.ready import ready_strategy
from schemas.errors import PluginError
from tests.support.continued import goes_on_anywhere, is_made_again, strategy

SPANS = [
    ("2024-03-08", "2024-03-13"), ("2024-10-31", "2024-11-06"), ("2024-11-27", "2024-12-03"),
    ("1969-12-30", "1970-01-03"),
]  # fmt: skip
"""New York's clocks go on and back; Thanksgiving and its half day; about 1970."""


def times(first: str, last: str) -> pd.DatetimeIndex:
    return pd.date_range(first, last, freq="17min", tz="UTC").union(pd.date_range(first, last, freq="1h", tz="UTC"))


def computed(key: str, index: pd.DatetimeIndex, **params: Any) -> pd.DataFrame:
    return feature_registry.create(key, **params).compute(pd.DataFrame(index=index))


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_the_clock_of_a_zone(zone: str, span: tuple[str, str]) -> None:
    index = times(*span)
    before = (index - pd.Timedelta("1ms")).tz_convert(ZoneInfo(zone))
    minutes = [(at.hour * 60 + at.minute) + (at.second + (at.microsecond // 1000 + 1) / 1000) / 60 for at in before]
    given = computed("time.of_day", index, zone=zone)["of_day"]
    np.testing.assert_allclose(given, minutes, rtol=0, atol=1e-9)
    assert given.min() > 0
    assert computed("time.day_of_week", index, zone=zone)["day_of_week"].tolist() == [at.weekday() for at in before]
    cyclic = computed("time.of_day", index, zone=zone, form="cyclic")
    np.testing.assert_allclose(cyclic["of_day_sin"], np.sin(given / 1440 * math.tau), atol=1e-12)
    np.testing.assert_allclose(cyclic["of_day_cos"], np.cos(given / 1440 * math.tau), atol=1e-12)


@pytest.mark.parametrize("span", SPANS[:3])
@pytest.mark.parametrize("session", ["XNYS", "CMES", "XTKS"])
def test_a_markets_sessions(session: str, span: tuple[str, str]) -> None:
    index = times(*span)
    schedule = exchange_calendars.get_calendar(session, start="2024-01-01", end="2024-12-31").schedule
    past, left = [], []
    for at in index:
        inside = schedule[(schedule["open"] < at) & (at <= schedule["close"])]
        past.append((at - inside["open"].iloc[0]) / pd.Timedelta("1min") if len(inside) else math.nan)
        left.append((inside["close"].iloc[0] - at) / pd.Timedelta("1min") if len(inside) else math.nan)
    np.testing.assert_array_equal(computed("time.since_open", index, session=session)["since_open"], past)
    np.testing.assert_array_equal(computed("time.minutes_to_close", index, session=session)["minutes_to_close"], left)
    assert np.isfinite(past).sum() > 20


def test_half_days_and_summer_time_by_hand() -> None:
    """2024-11-29 closes at 13:00 in New York; on Monday 2024-03-11 it opens at 13:30 UTC, on Friday before at 14:30."""
    stamps = ["2024-11-29 17:59", "2024-11-29 18:00", "2024-11-29 18:01", "2024-03-08 14:31", "2024-03-11 13:31"]
    index = pd.DatetimeIndex(stamps, tz="UTC")
    given = computed("time.minutes_to_close", index[[3, 4, 0, 1, 2]], session="XNYS")["minutes_to_close"]
    np.testing.assert_array_equal(given, [389.0, 389.0, 1.0, 0.0, math.nan])


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("time.of_day", {"zone": "Mars/Olympus"}), ("time.of_day", {"zone": "../etc/passwd"}),
        ("time.since_open", {"session": "XNYZ"}), ("time.since_open", {"session": "auto"}),
        ("time.since_open", {"form": "polar"}), ("time.day_of_week", {"session": "XNYS"}),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_by_name(key: str, params: dict[str, str]) -> None:
    with pytest.raises(PluginError, match=next(iter(params))):
        feature_registry.create(key, **params)


def test_a_frame_without_times_is_refused() -> None:
    with pytest.raises(PluginError, match="it reads the bars' times; give the frame a DatetimeIndex"):
        feature_registry.create("time.of_day").compute(pd.DataFrame({"close": [1.0, 2.0]}))


FEATURES: list[Any] = [
    {"time.of_day": {"zone": "America/New_York", "form": "cyclic"}},
    {"time.minutes_to_close": {"session": "XNYS", "lags": [1]}},
    "technical.rsi",
]


def test_it_goes_on_after_a_restart_and_belongs_to_the_hash() -> None:
    from tests.plugins.test_lags import bars

    configured = strategy(FEATURES, "minutes_to_close")
    ready = ready_strategy("one", configured)
    goes_on_anywhere(ready, bars("AB", 8), 3)
    is_made_again(ready, configured)
    assert [len(section.get("sessions", "")) for section in ready.config["features"]] == [16, 16, 0]


@pytest.mark.parametrize("key", ["time.of_day", "time.day_of_week", "time.since_open", "time.minutes_to_close"])
def test_the_kit_accepts_it(key: str) -> None:
    check_plugin(key)
