"""Bars of files in time order, some at a time: the same as all at once, in memory that does not grow with the file."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from schemas.configuration import Source
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars, refused
from streams.ingest.ordered import runs
from streams.ingest.ordered.bar_stream import open_bars
from streams.ingest.ordered.runs import ROW, Runs

START, MINUTE = 1_709_856_000_000, 60_000


def bars(symbols: int, each: int, seed: int = 1) -> pd.DataFrame:
    """By time; prices are whole cents."""
    rng = np.random.default_rng(seed)
    close = rng.integers(1_000, 9_000, symbols * each) / 100
    return pd.DataFrame(
        {
            "symbol": np.tile([f"S{number}" for number in range(symbols)], each),
            "timestamp": pd.to_datetime(np.repeat(START + MINUTE * np.arange(each), symbols), unit="ms", utc=True),
            "open": close, "high": close + 1, "low": close - 1, "close": close,
            "volume": rng.integers(0, 99, symbols * each).astype(float),
        }
    )  # fmt: skip


ORDERS = {
    "by time": lambda frame: frame,
    "by symbol": lambda frame: frame.sort_values(["symbol", "timestamp"], kind="stable", ignore_index=True),
    "newest first": lambda frame: frame[::-1].reset_index(drop=True),
    "in none": lambda frame: frame.sample(frac=1, random_state=2, ignore_index=True),
}


def streamed(path: Path, source: Source | None = None, part: int = 500, run: int = 700) -> pd.DataFrame:
    with open_bars(path, "1m", source or Source(), part=part, run=run) as stream:
        chunks = list(stream.chunks())
        assert sum(map(len, chunks)) == len(stream)
        ends = [(chunk["close_time"].iloc[0], chunk["close_time"].iloc[-1]) for chunk in chunks]
        assert all(before[1] < after[0] for before, after in itertools.pairwise(ends))
        return pd.concat(chunks, ignore_index=True)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "feather", "arrows"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_same_as_all_at_once(order: str, kind: str, tmp_path: Path) -> None:
    frame, path = ORDERS[order](bars(23, 150)), tmp_path / f"bars.{kind.replace('arrows', 'arrow')}"
    if kind == "parquet":
        frame.to_parquet(path, row_group_size=333)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    elif kind == "feather":
        frame.to_feather(path, chunksize=400)
    else:
        with pa.ipc.new_stream(path, pa.Schema.from_pandas(frame)) as writer:
            writer.write_table(pa.Table.from_pandas(frame), max_chunksize=300)
    pd.testing.assert_frame_equal(streamed(path), read_bars(path, "1m"))


def test_files_of_symbols_and_files_of_days(tmp_path: Path) -> None:
    frame = bars(5, 400)
    for folder, key in (("symbols", frame["symbol"]), ("times", frame.index // 500)):
        (tmp_path / folder).mkdir()
        for name, part in frame.groupby(key):
            part.to_parquet(tmp_path / folder / f"{name}.parquet", index=False)
        expected = frame["symbol"].tolist()
        assert streamed(tmp_path / folder)["symbol"].tolist() == expected  # S0 to S4 at each time, as they were made


def test_repeated_rows_far_apart_are_refused_before_the_first_bar_is_given(tmp_path: Path) -> None:
    frame = bars(3, 1_000)
    twice = pd.concat([frame, frame.iloc[:1].assign(volume=1_000.0)], ignore_index=True)
    twice.to_parquet(tmp_path / "bars.parquet", index=False)
    with pytest.raises(ConfigurationError, match="S0 has two bars at 2024-03-08T00:00:00Z with other values"):
        streamed(tmp_path / "bars.parquet")
    for use, volume in (("first", frame["volume"][0]), ("last", 1_000.0)):
        with open_bars(tmp_path / "bars.parquet", "1m", Source(repeated=use), part=500, run=700) as stream:
            assert next(stream.chunks())["volume"].iloc[0] == volume


def test_whose_clock_is_told_by_the_whole_file(tmp_path: Path) -> None:
    """Each day begins at 09:30 by the file, in whichever part its days lie."""
    days = [pd.date_range(f"2024-03-{day} 09:30", periods=390, freq="min") for day in (4, 5, 6, 7, 8)]
    frame = pd.DataFrame({"timestamp": np.concatenate(days)}).assign(symbol="A", open=1.0, high=1.0, low=1.0, close=1.0)
    frame.assign(volume=1.0).to_parquet(tmp_path / "bars.parquet", index=False)
    with pytest.raises(ConfigurationError, match="each day begins at 09:30"):
        streamed(tmp_path / "bars.parquet", part=100)
    shifted = bars(1, 2_000)
    shifted["timestamp"] += pd.Timedelta(hours=9, minutes=30)  # begins then, and goes on through the nights
    shifted.assign(timestamp=shifted["timestamp"].dt.tz_localize(None)).to_parquet(tmp_path / "bars.parquet")
    assert len(streamed(tmp_path / "bars.parquet", part=100)) == 2_000


def test_left_out_rows_are_named_by_their_number_in_the_file(tmp_path: Path) -> None:
    frame = bars(1, 2_000)
    frame.loc[1_700, "low"] = -1.0
    frame.to_parquet(tmp_path / "bars.parquet", index=False)
    with open_bars(tmp_path / "bars.parquet", "1m", part=500, run=700) as stream:
        assert stream.survey.left_out.examples == ["bars.parquet:1701: with a price not above 0"]
        assert stream.survey.left_out == refused(read_bars(tmp_path / "bars.parquet", "1m"))


def peak_of_reading(path: Path) -> int:
    """MB that reading takes at its peak, above what was there before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from here on
    before = status()["VmRSS"]
    with open_bars(path, "1m", part=10_000, run=20_000) as stream:
        assert sum(map(len, stream.chunks())) == len(stream)
    return (status()["VmHWM"] - before) // 1024


def status() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in lines if line[0].startswith("Vm")}


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million rows in no order, all bounds scaled down: held at once they would be 36 MB, and as many again in
    each of pandas' and Arrow's forms.
    """
    for name, value in (
        ("runs.AT_ONCE", 16_384), ("runs.LEAST", 512), ("survey.MOST", 1_000), ("bar_stream.MOST", 1_000)
    ):  # fmt: skip
        monkeypatch.setattr(f"streams.ingest.ordered.{name}", value)
    for rows in (50, 500):
        ORDERS["in none"](bars(1_000, rows)).to_parquet(tmp_path / f"{rows}.parquet")
    few, few_again, many = (peak_of_reading(tmp_path / f"{rows}.parquet") for rows in (50, 50, 500))
    assert many < max(few, few_again) + 30


@pytest.mark.parametrize("seed", range(20))
def test_the_merge_gives_each_time_whole_and_in_the_order_of_coming(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against one stable sort; times with more rows than the merge reads at once among them."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(runs, "AT_ONCE", 8)
    monkeypatch.setattr(runs, "LEAST", int(rng.integers(1, 5)))
    kept, whole = Runs(int(rng.integers(1, 60))), []
    for _ in range(int(rng.integers(0, 12))):
        rows = np.zeros(int(rng.integers(1, 40)), ROW)
        rows["close_time"] = rng.integers(0, 12, len(rows))
        rows["open_time"] = np.arange(len(rows)) + sum(map(len, whole))
        whole.append(rows)
        kept.add(rows)
    expected = np.concatenate(whole) if whole else np.empty(0, ROW)
    expected = expected[np.argsort(expected["close_time"], kind="stable")]
    for _ in range(2):  # as often as wanted
        chunks = list(kept.merged())
        got = np.concatenate(chunks) if chunks else np.empty(0, ROW)
        np.testing.assert_array_equal(got, expected)
        times = [set(chunk["close_time"].tolist()) for chunk in chunks]
        assert sum(map(len, times)) == len(set(expected["close_time"].tolist()))
    kept.close()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars(2, 1_000).to_parquet(tmp_path / "bars.parquet")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"none cannot hold the bars.*set TMPDIR to a folder with more space"):
        streamed(tmp_path / "bars.parquet")
