"""Times as people write them. Expected values: Python's own datetime and zoneinfo, or written down by hand."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars
from streams.ingest.times import clock_of, published_in

FILE = Path("news.csv")
NEW_YORK = "America/New_York"


def ms(*clock: int, zone: str = "UTC") -> int:
    return round(datetime(*clock, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc,arg-type]


def published(values: object, zone: str = "UTC", exact: bool = False) -> tuple[list[int], list[bool]]:
    times, _, dates = published_in(FILE, pd.DataFrame({"at": values}), "at", zone, exact)
    return times.tolist(), dates.tolist()


def starts(values: object) -> list[int]:
    """What a bar's time is: its start."""
    wall = clock_of(FILE, "at", pd.DataFrame({"at": values})["at"]).wall
    return wall.dt.as_unit("ms").astype("int64").tolist()


AT_1530 = ms(2024, 3, 8, 15, 30)
SAME_TIME = [
    20240308153000,
    202403081530,
    20240308153000.0,
    AT_1530,
    "202403081530",
    "2024-03-08T15:30:00Z",
    "2024-03-08 10:30:00-05:00",
    "20240308T153000Z",
    "2024-03-08 15:30",
    "20240308153000",
]


@pytest.mark.parametrize("written", SAME_TIME)
def test_one_time_in_many_writings(written: object) -> None:
    assert published([written]) == ([AT_1530], [False])
    assert starts([written]) == [AT_1530]


@pytest.mark.parametrize("written", ["2024-03-08", "20240308", 20240308, date(2024, 3, 8), pd.Timestamp("2024-03-08")])
def test_a_date_counts_from_the_end_of_its_day_in_the_declared_zone(written: object) -> None:
    assert published([written]) == ([ms(2024, 3, 9)], [True])
    assert published([written], NEW_YORK) == ([ms(2024, 3, 9, zone=NEW_YORK)], [True])
    # a bar's time is its start: there it is the day's
    assert starts([written]) == [ms(2024, 3, 8)]


def test_the_end_of_a_day_of_23_hours() -> None:
    assert published(["2024-03-10"], NEW_YORK) == ([ms(2024, 3, 11, zone=NEW_YORK)], [True])
    assert ms(2024, 3, 11, zone=NEW_YORK) - ms(2024, 3, 10, zone=NEW_YORK) == 23 * 3_600_000


def test_a_clock_time_is_of_the_declared_zone_and_one_that_names_its_own_is_not() -> None:
    written = ["2024-03-08 10:30:00", "2024-03-08T10:30:00Z", "2024-03-08T10:30:00+01:00", "20240308103000"]
    expected = [ms(2024, 3, 8, 10, 30, zone=NEW_YORK), ms(2024, 3, 8, 10, 30), ms(2024, 3, 8, 9, 30)]
    assert published(written[:3], NEW_YORK)[0] == expected
    assert published(written[3:], NEW_YORK)[0] == expected[:1]
    assert published([AT_1530], NEW_YORK)[0] == [AT_1530]


def test_an_hour_that_comes_twice_is_the_second_and_one_that_is_missing_the_next() -> None:
    """No earlier than it can have been."""
    assert published(["2024-11-03 01:30:00"], NEW_YORK)[0] == [ms(2024, 11, 3, 6, 30)]
    assert published(["2024-03-10 02:30:00"], NEW_YORK)[0] == [ms(2024, 3, 10, 7)]


@pytest.mark.parametrize(
    "column",
    [
        pd.to_datetime(["2024-03-08", "2024-03-11"]),
        pd.to_datetime(["2024-03-08", "2024-03-11"], utc=True),
        ["2024-03-08 00:00:00", "2024-03-11 00:00:00"],
        ["2024-03-08T00:00:00Z", "2024-03-11T00:00:00.000Z"],
        [ms(2024, 3, 8), ms(2024, 3, 11)],
    ],
)
def test_a_column_at_midnight_is_one_of_dates(column: object) -> None:
    assert published(column) == ([ms(2024, 3, 9), ms(2024, 3, 12)], [True, True])
    assert published(column, exact=True) == ([ms(2024, 3, 8), ms(2024, 3, 11)], [False, False])


def test_a_midnight_among_times_is_a_time() -> None:
    assert published(["2024-03-08T00:00:00Z", "2024-03-08T15:30:00Z"])[0] == [ms(2024, 3, 8), AT_1530]
    assert published([ms(2024, 3, 8), AT_1530])[0] == [ms(2024, 3, 8), AT_1530]


def test_midnights_of_a_column_with_a_zone_end_no_earlier_than_there_and_in_the_declared_one() -> None:
    there = pd.Series(pd.to_datetime(["2024-03-08"])).dt.tz_localize(NEW_YORK)
    assert published(there)[0] == [ms(2024, 3, 9, zone=NEW_YORK)]
    assert published(there, "Pacific/Honolulu")[0] == [ms(2024, 3, 9, zone="Pacific/Honolulu")]


@pytest.mark.parametrize("kind", ["timestamp[ms][pyarrow]", "timestamp[ns, tz=America/New_York][pyarrow]"])
def test_timestamps_of_arrows_type(kind: str, tmp_path: Path) -> None:
    """As pandas reads them back from a file that it wrote."""
    times = [pd.Timestamp("2024-03-08 10:30", tz=NEW_YORK if "tz" in kind else None), None]
    pd.DataFrame({"at": pd.Series(times, dtype=kind)}).to_parquet(tmp_path / "news.parquet")
    column = pd.read_parquet(tmp_path / "news.parquet")["at"]
    found, unknown, _ = published_in(FILE, pd.DataFrame({"at": column}), "at", NEW_YORK)
    assert (int(found[0]), unknown.tolist()) == (AT_1530, [False, True])
    at_midnight = pd.Series([time and time.normalize() for time in times], dtype=kind)
    assert published(at_midnight[:1], NEW_YORK) == ([ms(2024, 3, 9, zone=NEW_YORK)], [True])


@pytest.mark.parametrize("values", [[date(2024, 3, 8)], [20240308], ["2024-03-08"]])
def test_columns_of_arrows_types(values: list[object], tmp_path: Path) -> None:
    frame = pd.DataFrame({"at": values}).convert_dtypes(dtype_backend="pyarrow")
    assert published(frame["at"]) == ([ms(2024, 3, 9)], [True])


def test_dates_and_times_in_one_column() -> None:
    written = ["2024-03-08", "2024-03-08T15:30:00Z", str(AT_1530), "soon", "2024-03", ""]
    times, unknown, dates = published_in(FILE, pd.DataFrame({"at": written}), "at")
    assert times.tolist()[:3] == [ms(2024, 3, 9), AT_1530, AT_1530]
    assert unknown.tolist() == [False, False, False, True, True, True]
    assert dates.tolist() == [True, *[False] * 5]


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ([20240399153000], "20240399153000"),
        ([20240308153000, AT_1530], "20240308153000"),
        ([20240308, 20240399], "20240308"),
        ([1_709_911_800], "1709911800"),
        ([2024030815], "2024030815"),
        ([AT_1530 * 1000], str(AT_1530 * 1000)),
    ],
)
def test_numbers_that_are_no_times_are_refused(numbers: list[int], shown: str) -> None:
    for column in (numbers, [str(number) for number in numbers]):
        with pytest.raises(ConfigurationError, match=f"column at holds {shown}, which (is no time in|could be) "):
            published(column)


def test_milliseconds_of_1976_that_are_no_compact_times_stay() -> None:
    days = [ms(1976, 5, day) for day in range(3, 8)]
    assert starts(days) == days


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 31)), st.sampled_from(["UTC", NEW_YORK, "Asia/Kolkata"]))
def test_no_date_counts_before_its_day_has_ended(moment: datetime, zone: str) -> None:
    """By Python's own calendar: for every time of the day, in that zone."""
    at = moment.replace(tzinfo=ZoneInfo(zone), fold=1)
    (end,), _ = published([f"{moment:%Y-%m-%d}"], zone)
    assert at.astimezone(UTC).timestamp() * 1000 <= end <= (at + timedelta(days=1, hours=2)).timestamp() * 1000 + 1


def test_bars_with_compact_times(tmp_path: Path) -> None:
    rows = ["time,open,high,low,close", "20240308153000,1,1,1,1", "20240308153100,1,1,1,1"]
    (tmp_path / "X.csv").write_text("\n".join(rows))
    with pytest.raises(ConfigurationError, match=r"which reads as a calendar date; declare time: .*'%Y%m%d%H%M%S'"):
        read_bars(tmp_path / "X.csv", "1m")
    source = Source.model_validate({"time": {"columns": "time", "format": "%Y%m%d%H%M%S"}})
    assert read_bars(tmp_path / "X.csv", "1m", source)["open_time"].tolist() == [AT_1530, AT_1530 + 60_000]


@pytest.mark.parametrize("name", ["timestamp", None])
def test_an_index_of_integers_is_a_column_when_it_has_a_name(name: str | None, tmp_path: Path) -> None:
    index = pd.Index([AT_1530, AT_1530 + 60_000], name=name)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 1.0), index=index)
    frame.to_parquet(tmp_path / "X.parquet")
    if name:
        assert np.array_equal(read_bars(tmp_path / "X.parquet", "1m")["open_time"], index)
    else:
        with pytest.raises(ConfigurationError, match=r"has no column a time .*; it has index, open"):
            read_bars(tmp_path / "X.parquet", "1m")
