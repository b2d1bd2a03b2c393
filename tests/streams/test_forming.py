"""Bars that are still forming are not sent; the clock is the test's."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from alphawire.commands.live import produce as command
from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from schemas.wire import decode_bar
from streams.ingest.bar_files import read_bars, refused
from streams.ingest.produce import without_unfinished
from streams.kafka.brokers.tansu import TansuBroker
from streams.kafka.log import KafkaLog
from streams.kafka.topics import create_topics

HEADER = "symbol,timestamp,open,high,low,close,volume"
NOW = int(pd.Timestamp("2024-03-08T18:51:00Z").timestamp() * 1000)


def hours(folder: Path, *starts: str, header: str = HEADER, more: tuple[str, ...] = ()) -> Path:
    path = folder / "hours.csv"
    ends = more or ("",) * len(starts)
    path.write_text(
        "\n".join([header, *(f"A,2024-03-08T{s}Z,5,6,4,5,10{e}" for s, e in zip(starts, ends, strict=True))])
    )
    return path


@pytest.mark.parametrize(
    ("now", "kept"),
    [("18:51:00", 2), ("19:00:00", 3), ("18:59:59.999", 2), ("17:59:59", 1), ("16:00:00", 0)],
)
def test_a_bar_counts_from_its_close_on(tmp_path: Path, now: str, kept: int) -> None:
    frame = read_bars(hours(tmp_path, "16:00:00", "17:00:00", "18:00:00"), "1h")
    clock = int(pd.Timestamp(f"2024-03-08T{now}Z").timestamp() * 1000)
    finished, left = without_unfinished(frame, lambda: clock)
    assert finished["open_time"].tolist() == frame["open_time"].tolist()[:kept]
    assert left.rows == 3 - kept


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    frame = read_bars(hours(tmp_path, "17:00:00", "18:00:00"), "1h")
    _, left = without_unfinished(frame, lambda: NOW)
    assert left.reasons == {"still forming (they close after now; --allow-unfinished sends them)": 1}
    assert left.examples == ["A 1h closes at 2024-03-08T19:00:00+00:00"]


def test_a_day_that_the_exchange_has_closed_waits_for_its_own_end(tmp_path: Path) -> None:
    """At 21:00 UTC New York has closed; the bar of the day says midnight, and a later trade would change it."""
    day = tmp_path / "day.csv"
    day.write_text(f"{HEADER}\nA,2024-03-07T05:00Z,5,6,4,5,10\nA,2024-03-08T05:00Z,5,6,4,5,10\n")
    finished, left = without_unfinished(read_bars(day, "1d"), lambda: NOW + 3 * 3_600_000)
    assert (len(finished), left.rows) == (1, 1)


def test_a_file_that_says_which_bars_are_closed_is_believed(tmp_path: Path) -> None:
    """As cryptofeed writes the updates of a forming candle; whatever the clock."""
    for name, words in (("closed", (",True", ",False", ",True")), ("is_closed", (",1", ",0", ",1"))):
        path = hours(tmp_path, "16:00:00", "17:00:00", "17:00:00", header=f"{HEADER},{name}", more=words)
        bars = read_bars(path, "1h")
        assert len(bars) == 2
        assert refused(bars).reasons == {"still forming (closed: false)": 1}
        pd.read_csv(path).assign(**{name: [True, False, True]}).to_parquet(tmp_path / "hours.parquet")
        assert len(read_bars(tmp_path / "hours.parquet", "1h")) == 2
    odd = hours(tmp_path, "16:00:00", header=f"{HEADER},closed", more=(",perhaps",))
    with pytest.raises(ConfigurationError, match="column closed holds 'perhaps', which is neither true nor false"):
        read_bars(odd, "1h")


def test_the_command_leaves_out_what_is_forming(
    tansu: TansuBroker, kafka_config: Callable[..., Kafka], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = kafka_config(tansu)
    asyncio.run(create_topics(kafka))
    monkeypatch.setattr(command, "wall_clock", lambda: NOW)
    file = hours(tmp_path, "16:00:00", "17:00:00", "18:00:00")
    options = ["bars", str(file), "--interval", "60m", "--bootstrap", kafka.bootstrap, "--prefix", kafka.prefix]

    def run(*more: str, code: int = 0) -> tuple[str, str]:
        done = CliRunner().invoke(command.command, [*options, *more])
        assert done.exit_code == code, done.output
        return done.stdout, done.stderr

    out, err = run()
    assert out.startswith("2 bars of 1 symbols sent")
    assert "\n1 of the bars were left out: 1 still forming (they close after now" in err
    told = json.loads(run("--json")[0])
    assert (told["bars"], sum(told["refused"].values())) == (2, 1)
    assert run("--allow-unfinished")[0].startswith("3 bars of 1 symbols sent")
    hours(tmp_path, "18:00:00")
    assert run(code=1)[0].startswith("0 bars of 0 symbols sent")
    assert json.loads(run("--json", code=1)[0])["bars"] == 0
    assert asyncio.run(closes(kafka)) == [NOW - 111 * 60_000 + h * 3_600_000 for h in (0, 1, 0, 1, 0, 1, 2)]


async def closes(kafka: Kafka) -> list[int]:
    log = KafkaLog(kafka)
    found = []
    for partition in range(await log.partition_count()):
        async for record in log.records("bars", partition):
            found.append(decode_bar(record.value).close_time)
    return found
