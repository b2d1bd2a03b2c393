"""Bars and news that could not be used are told by what works on the rest: how many, why, and the first of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from alphawire.cli import cli
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer
from streams.kafka.topics import topic_name
from tests.support.live import minute_bars, topics_and_bars, write_config

NEWS: dict[str, Any] = {
    "interval": "1m",
    "features": ["news.finbert_sentiment"],
    "prediction": "positive_score",
    "signal": {"key": "signal.threshold", "buy_threshold": 0.6, "sell_threshold": 0.3},
}
PLAIN: dict[str, Any] = NEWS | {"features": [{"statistical.momentum": {"window": 20}}], "prediction": "momentum"}
BARS = minute_bars(400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, bars of which four rows are none to use, and news of which three of five rows are none."""
    config: dict[str, Any] = {"sources": {"all": {"repeated": "all"}}}
    config |= {"news": {"scorer": "lexicon"}, "strategies": {"demo": PLAIN, "news": NEWS}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(config))
    rows = pd.DataFrame(BARS).assign(time=BARS["open_time"]).drop(columns=["open_time", "close_time", "interval"])
    changed = rows.iloc[[10]].assign(close=rows["close"].iloc[10] * 1.0001, high=rows["high"].iloc[10] * 1.01)
    rows.loc[5, "close"] = float("nan")
    rows.loc[[7, 8], "low"] = rows["high"] * 2
    pd.concat([rows, changed]).to_csv(tmp_path / "bars.csv", index=False)
    times = pd.to_datetime(BARS["close_time"].iloc[[0, 10, 20, 30, 40]], unit="ms", utc=True)
    scores = pd.DataFrame({"id": list("abcde"), "symbol": "IBM", "available_at": times.map(lambda t: t.isoformat())})
    scores = scores.assign(positive=0.5, negative=0.25, neutral=0.25, scorer=["finbert/1"] * 3 + ["lexicon/1"] * 2)
    scores.to_csv(tmp_path / "news.csv", index=False)
    return tmp_path


OF_BARS = {"without values": 1, "with high below low": 2, "correction": 1}
OF_NEWS = {"of another scorer than lexicon": 3}
LINE = (
    "4 of the bars were left out: 1 without values, 2 with high below low, 1 correction (bars.csv:7: without values; "
)


def run(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    sources = ["--news", str(folder / "news.csv"), "-c", str(folder / "a.yaml"), "--json"]
    done = CliRunner().invoke(cli, [*arguments, *sources])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_replay(folder: Path) -> None:
    source = ["--source", str(folder / "bars.csv"), "--format", "all", "--out", str(folder / "s.jsonl")]
    told, said = run(folder, "replay", "news", *source)
    assert (told["left_out"]["reasons"], told["news_left_out"]["reasons"]) == (OF_BARS, OF_NEWS)
    assert told["signals"] == len(BARS) - 3
    assert LINE in said
    assert "3 rows of news were left out: 3 of another scorer than lexicon (news.csv:2: of finbert; " in said


def test_a_backtest_and_its_page(folder: Path) -> None:
    pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")
    lines = (folder / "bars.csv").read_text().splitlines()
    (folder / "bars.csv").write_text("\n".join(lines[:-1]) + "\n")  # no engine takes two bars of one time
    told, said = run(
        folder,
        "backtest",
        "news",
        "--source",
        str(folder / "bars.csv"),
        "--format",
        "all",
        "--out",
        str(folder / "run"),
    )
    of_bars = {name: count for name, count in OF_BARS.items() if name != "correction"}
    assert (told["left_out"]["reasons"], told["news_left_out"]["reasons"]) == (of_bars, OF_NEWS)
    assert "3 of the bars were left out: " in said
    page = (folder / "run" / "report.html").read_text()
    for text in (
        "Of the bars, 3 were left out: 1 without values, 2 with high below low.",
        "Of the rows of news, 3 were left out: 3 of another scorer than lexicon.",
    ):
        assert text in page
        assert text in told["warnings"]


def test_articles_without_a_text_or_symbol(folder: Path) -> None:
    pytest.importorskip("vaderSentiment")
    (folder / "news.csv").write_text(
        "id,published_at,symbols,headline\n"
        "a,2013-10-04T14:30:00Z,IBM,Great profit\n"
        "b,2013-10-04T14:31:00Z,,Great profit\n"
        "c,2013-10-04T14:32:00Z,IBM,\n"
    )
    source = ["--source", str(folder / "bars.csv"), "--format", "all", "--out", str(folder / "s.jsonl")]
    told, _ = run(folder, "replay", "news", *source)
    assert told["news_left_out"]["reasons"] == {"without a text": 1, "about no symbol": 1}


def test_records_of_a_topic(tansu: TansuBroker, tmp_path: Path) -> None:
    """One that is no bar, and one that corrects another."""
    file = tmp_path / "a.yaml"
    config = write_config(file, tansu.bootstrap, "left-out.", {"demo": PLAIN})
    topics_and_bars(config, BARS.iloc[:100])
    topics_and_bars(config, BARS.iloc[[90]].assign(volume=1.0))

    async def rubbish() -> None:
        async with open_producer(config.kafka) as producer:
            await producer.send_and_wait(topic_name(config.kafka, "bars"), b"{", b"IBM", partition=0)

    asyncio.run(rubbish())
    out = ["--out", str(tmp_path / "s.jsonl"), "--json", "-c", str(file)]
    done = CliRunner().invoke(cli, ["replay", "demo", *out])
    assert json.loads(done.stdout)["left_out"]["reasons"] == {"undecodable": 1, "correction": 1}
    assert "2 of the bars were left out: " in done.stderr
    assert "left-out.bars/0 offset " in done.stderr
