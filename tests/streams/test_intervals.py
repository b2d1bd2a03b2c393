"""Bars of the interval that is said: by any name, on its grid, and as long as they are."""

import json
from pathlib import Path

import pandas as pd
import pytest

from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.records.published import Source as Stream
from schemas.configuration import Source
from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval
from streams.consuming.intake import Intake
from streams.ingest.bar_files import read_bars, refused
from tests.support.memory import bar, fetched, ready

HOUR = 3_600_000
HEADER = "symbol,timestamp,open,high,low,close,volume\n"


def file(folder: Path, times: list[str], header: str = HEADER, more: str = "") -> Path:
    path = folder / "bars.csv"
    path.write_text(header + "".join(f"A,{time},5,6,4,5,10{more}\n" for time in times))
    return path


def hourly(name: str, hours: int = 20) -> list:
    """Bars of an hour that call their interval `name`; 1.38e12 ms is 20 minutes past an hour: so begins this market."""
    start = 1_380_000_000_000
    return fetched(
        {"symbol": "A", "interval": name, "open_time": start + i * HOUR, "close_time": start + (i + 1) * HOUR,
         "open": 50.0 + i % 3, "high": 60.0, "low": 40.0, "close": 50.0 + i % 5, "volume": 10.0}
        for i in range(hours)
    )  # fmt: skip


def signals(strategy, records) -> list:
    fed = Pipeline([strategy], Stream("bars", 0, "v")).feed(Intake(0, 1, "murmur2").read(records).batches)
    return [(each.content.time, each.content.signal, each.content.prediction) for each in fed.signals]


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("60m", "1h"),
        ("3600s", "1h"),
        ("24h", "1d"),
        ("1440m", "1d"),
        ("90m", "90m"),
        ("60s", "1m"),
        ("7d", "7d"),
        ("x", "x"),
    ],
)
def test_one_interval_has_one_name(name: str, canonical: str) -> None:
    assert canonical_interval(name) == canonical


def test_a_strategy_of_60m_takes_bars_of_1h_and_of_both_names() -> None:
    expected = signals(ready("s", interval="1h"), hourly("1h"))
    assert len(expected) == 20
    assert signals(ready("s", interval="60m"), hourly("1h")) == expected
    assert signals(ready("s", interval="1h"), hourly("60m")) == expected
    mixed = [one if i % 2 else other for i, (one, other) in enumerate(zip(hourly("1h"), hourly("3600s"), strict=True))]
    assert signals(ready("s", interval="60m"), mixed) == expected


def test_files_by_any_name(tmp_path: Path) -> None:
    path = file(tmp_path, ["2024-03-08T08:00Z", "2024-03-08T09:00Z"], HEADER.replace("\n", ",interval\n"), ",1h")
    assert read_bars(path, "60m")["interval"].tolist() == ["1h", "1h"]
    assert read_bars(file(tmp_path, ["2024-03-08T08:00Z"]), "60m")["interval"].tolist() == ["1h"]


WEEKS = [f"2024-{day}" for day in ("01-01", "01-08", "01-15", "01-29", "02-05", "02-12", "02-19", "02-26", "03-04")]
"""Mondays; one is missing."""


@pytest.mark.parametrize("word", ["1w", "1wk", "W1", "weekly", "7d"])
def test_weeks_begin_where_their_bars_do(word: str, tmp_path: Path) -> None:
    bars = read_bars(file(tmp_path, WEEKS, HEADER.replace("\n", ",interval\n"), f",{word}"))
    assert set(bars["interval"]) == {"7d"}
    starts, closes = pd.to_datetime(bars["open_time"], unit="ms"), pd.to_datetime(bars["close_time"], unit="ms")
    assert starts.dt.strftime("%Y-%m-%d").tolist() == WEEKS
    assert [str(close.date()) for close in closes[2:4]] == ["2024-01-22", "2024-02-05"]


def test_a_strategy_and_a_source_of_weeks(tmp_path: Path) -> None:
    path = file(tmp_path, WEEKS)
    assert read_bars(path, "1w")["interval"].tolist() == ["7d"] * 9
    assert read_bars(path, None, Source(interval="1w"))["interval"].tolist() == ["7d"] * 9
    weekly = ready("s", interval="1w", features=[{"technical.rsi": {"period": 2}}])
    assert weekly.config_hash == ready("s", interval="7d", features=[{"technical.rsi": {"period": 2}}]).config_hash
    fed = Pipeline([weekly], Stream("bars", 0, "v")).feed({"7d": batch_from_frame(read_bars(path, "1w"))})
    assert [each.content.gap for each in fed.signals] == [None, 0, 0, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("interval", "at", "fits"),
    [
        ("1m", "08:00:30", False), ("1m", "08:01:00", True), ("5m", "08:05:30", False), ("5m", "08:05:00", True),
        ("15m", "08:10:00", True), ("1h", "09:30:00", True), ("1h", "08:00:01", False), ("1d", "05:00:00", True),
        ("1d", "18:51:07", False), ("30s", "08:00:30", True), ("30s", "08:00:40", False), ("4h", "21:00:00", True),
    ],
)  # fmt: skip
def test_a_bar_off_its_intervals_grid_is_none(tmp_path: Path, interval: str, at: str, fits: bool) -> None:
    """On the topic a dead letter, in a file a row that is left out and told."""
    opened = pd.Timestamp(f"2024-03-08T{at}Z")
    start, end = (
        int(opened.timestamp() * 1000),
        int((opened + pd.Timedelta(interval.replace("d", "D"))).timestamp() * 1000),
    )
    record = {"symbol": "A", "interval": interval, "open_time": start, "close_time": end}
    records = fetched([record | {"open": 5.0, "high": 6.0, "low": 4.0, "close": 5.0, "volume": 1.0}])
    outcome = Pipeline([ready("s", interval=interval)], Stream("bars", 0, "v")).feed(
        Intake(0, 1, "murmur2").read(records).batches
    )
    bars = read_bars(file(tmp_path, [f"2024-03-08T{at}Z"]), interval)
    assert [refusal.kind for refusal in outcome.refusals] == ([] if fits else ["off_grid"])
    assert len(outcome.signals) == len(bars) == int(fits)
    assert refused(bars).reasons == ({} if fits else {"off the grid of their interval": 1})


def test_a_minute_bar_between_two_does_not_make_them_late() -> None:
    odd = bar("A", 1, 50.0)
    odd |= {name: odd[name] + 30_000 for name in ("open_time", "close_time")}
    good = [bar("A", minute, 50.0) for minute in range(4)]
    outcome = Pipeline([ready("s")], Stream("bars", 0, "v")).feed(
        Intake(0, 1, "murmur2").read(fetched([good[0], odd, *good[1:]])).batches
    )
    assert [(refusal.offset, refusal.kind) for refusal in outcome.refusals] == [(1, "off_grid")]
    assert [each.content.time for each in outcome.signals] == [each["close_time"] for each in good]


def test_a_bar_between_the_bars_of_its_symbol_is_refused_and_the_good_ones_are_not() -> None:
    """09:30 among whole hours is a bar of some market, but not of this symbol's."""
    good = hourly("1h", 6)
    odd = bar("A", 2 * 60 + 30, 50.0) | {"interval": "1h"}
    odd["close_time"] = odd["open_time"] + HOUR
    values = [json.loads(record.value) for record in good]
    records = fetched([*values[:2], odd, *values[2:]])
    outcome = Pipeline([ready("s", interval="1h")], Stream("bars", 0, "v")).feed(
        Intake(0, 1, "murmur2").read(records).batches
    )
    assert [(refusal.offset, refusal.kind) for refusal in outcome.refusals] == [(2, "off_grid")]
    assert [each.content.time for each in outcome.signals] == [value["close_time"] for value in values]


def test_summer_time_and_sessions_shift_a_grid(tmp_path: Path) -> None:
    """Days of New York in 2024: of 23 hours on 10 March (its bar begins before the one before ends), of 25 in
    November; and hours from 14:30, in summer from 13:30.
    """
    zone = "America/New_York"
    for first, left in (("2024-11-01", []), ("2024-03-08", ["2024-03-11 00:00"])):
        days = pd.date_range(first, periods=8, freq="D", tz=zone)
        bars = read_bars(file(tmp_path, [day.isoformat() for day in days]), "1d")
        kept = pd.to_datetime(bars["open_time"], unit="ms", utc=True).dt.tz_convert(zone).dt.strftime("%Y-%m-%d %H:%M")
        assert [
            day.strftime("%Y-%m-%d %H:%M") for day in days if day.strftime("%Y-%m-%d %H:%M") not in set(kept)
        ] == left
        assert refused(bars).rows == len(left)
    sessions = [
        pd.date_range(f"{day} 09:30", f"{day} 15:30", freq="h", tz=zone)
        for day in ("2024-03-07", "2024-03-08", "2024-03-11")
    ]
    bars = read_bars(file(tmp_path, [time.isoformat() for session in sessions for time in session]), "1h")
    assert len(bars) == 21


@pytest.mark.parametrize(
    ("interval", "times"),
    [
        ("1m", pd.bdate_range("2024-03-04", periods=5)),
        ("1h", pd.bdate_range("2024-03-04", periods=5, tz="America/New_York")),
        ("1m", pd.date_range("2024-03-04", periods=30, freq="h")),
        ("1m", pd.date_range("2024-03-04", periods=30, freq="5min")),
        ("1d", pd.date_range("2023-01-31", periods=12, freq="ME")),
    ],
)
def test_longer_bars_than_said_are_refused(tmp_path: Path, interval: str, times: pd.DatetimeIndex) -> None:
    path = file(tmp_path, [time.isoformat() for time in times])
    with pytest.raises(ConfigurationError, match=f"so they are no {interval} bars; say how long they are") as error:
        read_bars(path, interval)
    assert "\n" not in str(error.value)


def test_days_of_one_symbol_in_a_file_of_hours(tmp_path: Path) -> None:
    hours = pd.date_range("2024-03-04", periods=60, freq="h", tz="UTC")
    days = pd.bdate_range("2024-03-04", periods=12, tz="UTC")
    rows = [("A", time) for time in hours] + [("B", time) for time in days]
    path = tmp_path / "mixed.csv"
    path.write_text(HEADER + "".join(f"{symbol},{time.isoformat()},5,6,4,5,10\n" for symbol, time in rows))
    with pytest.raises(
        ConfigurationError, match="bars of B are 1d apart, and never less than 1d, so they are no 1h bars"
    ):
        read_bars(path, "1h")
    seldom = [("B", days[0] + pd.Timedelta(hours=h)) for h in (0, 3, 11, 14, 40, 43, 47, 90, 93, 101)]
    rows = [("A", time) for time in hours] + seldom
    path.write_text(HEADER + "".join(f"{symbol},{time.isoformat()},5,6,4,5,10\n" for symbol, time in rows))
    assert len(read_bars(path, "1h")) == 70


def test_seldom_traded_minutes_are_minutes(tmp_path: Path) -> None:
    """Uneven distances are missing bars; and a file that names each row's interval is believed."""
    minutes = [0, 2, 9, 13, 40, 44, 81, 83, 120, 177, 190]
    times = [(pd.Timestamp("2024-03-08T14:30Z") + pd.Timedelta(minutes=m)).isoformat() for m in minutes]
    assert len(read_bars(file(tmp_path, times), "1m")) == len(minutes)
    hours = [time.isoformat() for time in pd.date_range("2024-03-04", periods=30, freq="h", tz="UTC")]
    named = file(tmp_path, hours, HEADER.replace("\n", ",interval\n"), ",1m")
    assert len(read_bars(named, "1m")) == 30


def test_a_files_own_ends_are_looked_at(tmp_path: Path) -> None:
    """As Binance has them, an end is one unit before the next start; one bar is enough to tell."""
    header = HEADER.replace("\n", ",close_time\n")
    ends = ",2024-03-08T08:59:59.999Z"
    assert len(read_bars(file(tmp_path, ["2024-03-08T08:00Z"], header, ends), "1h")) == 1
    with pytest.raises(ConfigurationError, match="by its close_time the bars are 1h long, so they are no 1m bars"):
        read_bars(file(tmp_path, ["2024-03-08T08:00Z"], header, ends), "1m")
    with pytest.raises(ConfigurationError, match="close_time is not after the times that are read as the bars' starts"):
        read_bars(file(tmp_path, ["2024-03-08T08:00Z"], header, ",2024-03-08T08:00Z"), "1h")


def test_one_short_bar_is_left_out_not_the_file(tmp_path: Path) -> None:
    """A half day ends at 18:00 UTC, and the hours after the close begin there: one bar of 30 minutes."""
    day = pd.date_range("2024-11-29 14:30", "2024-11-29 17:30", freq="h", tz="UTC")
    times = [time.isoformat() for time in [*day, pd.Timestamp("2024-11-29T18:00Z"), pd.Timestamp("2024-12-02T14:30Z")]]
    bars = read_bars(file(tmp_path, times), "1h")
    assert len(bars) == 5
    assert refused(bars).reasons == {"that begin before the bar before them ends": 1}
    assert refused(bars).examples == ["bars.csv:6: that begin before the bar before them ends"]


def test_bars_that_are_mostly_shorter_are_refused_with_a_mend_that_exists(tmp_path: Path) -> None:
    times = [time.isoformat() for time in pd.date_range("2024-03-08 14:30", periods=9, freq="30min", tz="UTC")]
    with pytest.raises(
        ConfigurationError, match="bars of A are 30m apart, so they are no 1h bars; say how long"
    ) as error:
        read_bars(file(tmp_path, times), "1h")
    assert "`produce --interval`, a strategy's `interval`, or a column interval in the file" in str(error.value)
