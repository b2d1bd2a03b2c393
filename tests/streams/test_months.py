"""Bars of months: files stamp them in many ways, the wire carries both their times, and a missing month is one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.replay.replay import replay_file
from backtest.sources.files import Files
from backtest.sources.inspection import inspect
from backtest.sources.market_time import gaps_of
from plugins.engines.results.sessions import periods_per_year
from plugins.fold.gate import STATE, GateVerdict, judge
from plugins.pipeline.frames import batch_from_frame
from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.records.published import Source as Stream
from schemas.configuration import Source, Strategy
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Bar, bar_length, check_bar, encode, spacing_ms
from streams.consuming.intake import Intake
from streams.ingest.bar_files import read_bars, refused
from tests.support.memory import fetched, ready

FIRST_DAYS = pd.date_range("2019-01-01", "2022-12-01", freq="MS")
STAMPS = {
    "first day": FIRST_DAYS.strftime("%Y-%m-%d"),
    "last day": (FIRST_DAYS + pd.offsets.MonthEnd(0)).strftime("%Y-%m-%d"),
    "first day of trading": (FIRST_DAYS + pd.offsets.BMonthBegin(0)).strftime("%Y-%m-%d"),
    "last day of trading": (FIRST_DAYS + pd.offsets.BMonthEnd(0)).strftime("%Y-%m-%d"),
    "milliseconds": FIRST_DAYS.astype("datetime64[ms]").astype(np.int64).astype(str),
}
ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Australia/Sydney"]


def file(folder: Path, stamps: Any, more: str = "", cells: Any = None) -> str:
    path = folder / "bars.csv"
    lines = [
        f"A,{stamp},{10 + i % 7},{20 + i % 7},9,{11 + i % 5},100{',' + str(cells[i]) if cells is not None else ''}\n"
        for i, stamp in enumerate(stamps)
    ]
    path.write_text(f"symbol,timestamp,open,high,low,close,volume{more}\n" + "".join(lines))
    return str(path)


def spans_of(bars: pd.DataFrame, zone: str = "UTC") -> list[tuple[str, str]]:
    times = [
        pd.to_datetime(bars[name], unit="ms", utc=True).dt.tz_convert(zone) for name in ("open_time", "close_time")
    ]
    return list(zip(*(each.dt.strftime("%Y-%m-%d %H:%M") for each in times), strict=True))


def months(firsts: pd.DatetimeIndex, each: int = 1) -> list[tuple[str, str]]:
    return [(f"{day:%Y-%m-%d} 00:00", f"{day + pd.DateOffset(months=each):%Y-%m-%d} 00:00") for day in firsts]


@pytest.mark.parametrize("kind", STAMPS)
def test_whatever_day_of_it_is_stamped_it_is_that_month(kind: str, tmp_path: Path) -> None:
    bars = read_bars(file(tmp_path, STAMPS[kind]), "1M")
    assert spans_of(bars) == months(FIRST_DAYS)
    assert set(bars["interval"]) == {"1M"}


@pytest.mark.parametrize("zone", ZONES[1:])
def test_a_month_begins_at_midnight_by_a_clock_that_is_said(zone: str, tmp_path: Path) -> None:
    """As yfinance's history() writes them: midnight of New York or Tokyo, with the offset."""
    path = file(tmp_path, [str(day.tz_localize(zone)) for day in FIRST_DAYS])
    with pytest.raises(ConfigurationError, match=r"declare time: \{zone: "):
        read_bars(path, "1M")
    assert spans_of(read_bars(path, "1M", Source(time={"zone": zone})), zone) == months(FIRST_DAYS)
    typed = tmp_path / "typed.parquet"
    frame = pd.read_csv(path).assign(timestamp=FIRST_DAYS.tz_localize(zone))
    frame.to_parquet(typed)
    assert spans_of(read_bars(typed, "1M"), zone) == months(FIRST_DAYS)


@pytest.mark.parametrize("word", ["1M", "1mo", "MN1", "monthly", "1month"])
def test_words_for_months(word: str, tmp_path: Path) -> None:
    path = file(tmp_path, STAMPS["first day"], ",interval", [word] * len(FIRST_DAYS))
    assert spans_of(read_bars(path)) == months(FIRST_DAYS)


@pytest.mark.parametrize(("word", "each"), [("3M", 3), ("1q", 3), ("yearly", 12), ("1y", 12)])
def test_quarters_and_years(word: str, each: int, tmp_path: Path) -> None:
    firsts = FIRST_DAYS[::each]
    path = file(tmp_path, firsts.strftime("%Y-%m-%d"), ",interval", [word] * len(firsts))
    assert spans_of(read_bars(path)) == months(firsts, each)


def test_quarters_by_their_last_days_are_declared(tmp_path: Path) -> None:
    lasts = (FIRST_DAYS + pd.offsets.MonthEnd(0))[2::3]
    path = file(tmp_path, lasts.strftime("%Y-%m-%d"))
    with pytest.raises(ConfigurationError, match=r"declare time: \{stamp: end\}"):
        read_bars(path, "3M")
    assert spans_of(read_bars(path, "3M", Source(time={"stamp": "end"}))) == months(FIRST_DAYS[::3], 3)


def test_the_end_of_a_month_is_the_next_ones_start_where_that_is_declared(tmp_path: Path) -> None:
    path = file(tmp_path, STAMPS["first day"])
    before = FIRST_DAYS - pd.DateOffset(months=1)
    assert spans_of(read_bars(path, "1M", Source(time={"stamp": "end"}))) == months(before)


def test_binance_says_both_times(tmp_path: Path) -> None:
    """1M klines of the public archive: the end is the last millisecond of the month."""
    ends = (FIRST_DAYS + pd.DateOffset(months=1)).astype("datetime64[ms]").astype(np.int64) - 1
    path = tmp_path / "BTCUSDT-1mo-2019-01.csv"
    path.write_text(
        "".join(
            f"{start},{10},{12},{9},{11},5,{end},50,7,2,20,0\n"
            for start, end in zip(STAMPS["milliseconds"], ends, strict=True)
        )
    )
    bars = read_bars(path, None, Source(preset="binance"))
    assert spans_of(bars) == months(FIRST_DAYS)
    assert set(bars["symbol"]) == {"BTCUSDT"}


@pytest.mark.parametrize(
    ("days", "interval", "apart"),
    [
        (pd.bdate_range("2024-01-01", "2024-03-01"), "1M", "1 days"),
        (FIRST_DAYS[::3], "1M", "9. days"),
        (FIRST_DAYS, "3M", "31 days"),
        (FIRST_DAYS[::12], "3M", "365 days"),
    ],
)
def test_bars_of_another_length_are_refused(days: Any, interval: str, apart: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"are {apart} apart, so they are no {interval} bars"):
        read_bars(file(tmp_path, days.strftime("%Y-%m-%d")), interval)


def test_a_month_that_is_not_over_is_left_out(tmp_path: Path) -> None:
    """Some vendors stamp it with the day of the download."""
    bars = read_bars(file(tmp_path, ["2024-01-01", "2024-02-01", "2024-03-01", "2024-03-14"]), "1M")
    assert spans_of(bars) == months(pd.DatetimeIndex(["2024-01-01", "2024-02-01", "2024-03-01"]))
    assert refused(bars).reasons == {"of months, and stamped neither at their start nor at their end": 1}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("each", [1, 2, 3, 6, 12])
def test_the_wire_takes_the_months_of_any_zone_and_nothing_else(zone: str, each: int) -> None:
    days = pd.date_range("1999-01-01", "2012-01-01", freq="MS", tz=zone)
    starts = days.tz_convert("UTC").tz_localize(None).astype("datetime64[ms]").astype(np.int64)
    name = f"{each}M"
    for place in range(len(starts) - each - 1):
        check_bar(Bar("A", name, int(starts[place]), int(starts[place + each]), 1.0, 2.0, 1.0, 2.0, 0.0))
        for wrong in (place + each - 1, place + each + 1):
            if wrong > place:
                with pytest.raises(BadRecord, match=f"which are no {name}"):
                    check_bar(Bar("A", name, int(starts[place]), int(starts[wrong]), 1.0, 2.0, 1.0, 2.0, 0.0))


@pytest.mark.parametrize("each", [1, 3])
def test_the_gate_counts_the_months_that_are_missing(each: int, tmp_path: Path) -> None:
    firsts = pd.date_range("1990-01-01", "2024-12-01", freq="MS")[::each]
    kept = firsts[np.random.default_rng(2).random(len(firsts)) < 0.6]
    bars = read_bars(file(tmp_path, kept.strftime("%Y-%m-%d")), f"{each}M")
    batch = batch_from_frame(bars)
    verdicts, gaps = judge(np.zeros(1, STATE), np.zeros(len(bars), np.int64), batch.bars, spacing_ms(f"{each}M"))
    numbers = (kept.year * 12 + kept.month) // each
    assert (verdicts == GateVerdict.ACCEPTED).all()
    assert gaps.tolist() == [-1, *(np.diff(numbers) - 1).tolist()]
    missing = gaps_of(bars, spacing_ms(f"{each}M"), "auto")
    assert sum(gap.missing for gap in missing) == int((np.diff(numbers) - 1).sum())


def test_the_gate_refuses_what_overlaps_and_repeats(tmp_path: Path) -> None:
    bars = read_bars(file(tmp_path, ["2024-01-01", "2024-02-01", "2024-03-01"]), "1M")
    rows = batch_from_frame(bars).bars[[0, 1, 1, 2, 0, 2]]
    rows["time"][3] -= 86_400_000 * 20  # overlaps the month before
    rows["close"][4] += 0.5
    verdicts, _ = judge(np.zeros(1, STATE), np.zeros(6, np.int64), rows, spacing_ms("1M"))
    names = [GateVerdict(each).name for each in verdicts]
    assert names == ["ACCEPTED", "ACCEPTED", "REPEAT", "LATE", "CORRECTION", "ACCEPTED"]


def strategy(**changes: Any) -> dict[str, Any]:
    return {
        "interval": "1M", "features": [{"technical.rsi": {"period": 3}}], "prediction": "rsi",
        "signal": {"key": "signal.threshold", "buy_threshold": 55.0, "sell_threshold": 45.0}, "valid_for": "31d",
    } | changes  # fmt: skip


def test_the_same_signals_of_a_file_and_of_a_topic(tmp_path: Path) -> None:
    path = file(tmp_path, STAMPS["first day"].delete([7, 8]))
    bars, made = read_bars(path, "1M"), ready("s", **strategy())
    signals = [one.content for one in replay_file(made, path).raw]
    records = fetched(
        {name: row[name] for name in Bar.__struct_fields__ if name not in ("closed", "flat")}
        for row in bars.to_dict("records")
    )
    intake = Intake(0, 1, "murmur2").read(records)
    assert not intake.dead
    fed = Pipeline([made], Stream("bars", 0, "v")).feed(intake.batches)
    assert [encode(one.content) for one in fed.signals] == [bytes(each) for each in map(encode, signals)]
    assert [one.content.gap for one in fed.signals].count(2) == 1
    times = pd.DatetimeIndex(pd.to_datetime([one.time for one in signals], unit="ms"))
    elapsed = (signals[-1].time - signals[0].time) / (365.25 * 86_400_000)
    assert periods_per_year(times, bar_length("1M")) == pytest.approx((len(bars) - 1) / elapsed)


def test_how_long_a_signal_of_a_month_holds_must_be_said() -> None:
    with pytest.raises(ValueError, match="valid_for: "):
        Strategy.model_validate(strategy(valid_for=None))


@pytest.mark.parametrize("kind", STAMPS)
def test_inspect_finds_months(kind: str, tmp_path: Path) -> None:
    seen = inspect(Files((file(tmp_path, STAMPS[kind]),), Source(), "x"))
    assert (seen.refusal, seen.interval, seen.survey.bars) == (None, "1M", len(FIRST_DAYS))
