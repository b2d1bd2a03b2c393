"""Replay and training with news from files: the join is `with_news`' own, which other tests hold against pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.replay.replay import replay
from backtest.sources.news import file_news, file_scores
from backtest.training import make_samples
from plugins.features import feature_registry
from plugins.side_inputs.news import with_news
from plugins.side_inputs.news.join import Joining
from schemas.configuration import Config, News
from schemas.errors import ConfigurationError
from streams.ingest.bar_files import read_bars, refused
from tests.support.live import minute_bars
from tests.support.scores import RULE, scored

MINUTE = 60_000
STRATEGY: dict[str, Any] = {
    "interval": "1m",
    "features": ["news.finbert_sentiment"],
    "prediction": "positive_score",
    "signal": {"key": "signal.threshold", "buy_threshold": 0.6, "sell_threshold": 0.3},
}
CONFIG = Config(news=RULE, strategies={"s": STRATEGY})
CONFIG_RULE = Joining("lexicon", memory_ms=3_600_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("news")
    bars = minute_bars(800)
    bars.assign(timestamp=pd.to_datetime(bars["open_time"], unit="ms", utc=True)).drop(
        columns=["open_time", "close_time", "interval"]
    ).to_parquet(folder / "bars.parquet")
    scored(bars).to_csv(folder / "scores.csv", index=False)
    return str(folder / "bars.parquet"), str(folder / "scores.csv")


def by_frame(bars: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    times = pd.to_datetime(bars["close_time"], unit="ms", utc=True)
    index = pd.MultiIndex.from_arrays([bars["symbol"], times], names=["symbol", "time"])
    joined = with_news(bars.set_index(index), scores, MINUTE)
    return feature_registry.create("news.finbert_sentiment").compute(joined)


def test_a_replay_of_files_sees_what_the_frame_sees(files: tuple[str, str]) -> None:
    bars, scores = files
    done = replay(CONFIG, "s", bars, news=scores)
    expected = by_frame(done.bars, pd.read_csv(scores))["positive_score"]
    found = done.signals.set_index(["symbol", "time"])["prediction"]
    assert found.to_numpy().tobytes() == expected.to_numpy().tobytes()
    assert found.notna().sum() > 100
    news = [signal.provenance.news_offset for signal in done.raw]
    assert [place is not None for place in news] == found.notna().tolist()


def test_training_sees_the_same(files: tuple[str, str]) -> None:
    bars, scores = read_bars(files[0], "1m"), files[1]
    strategy = CONFIG.strategy("s")
    join = file_news(scores, CONFIG.news, CONFIG_RULE)
    samples = make_samples("s", strategy, bars, news=lambda _: join)
    expected = by_frame(bars, pd.read_csv(scores)).reindex(samples.X.index)
    np.testing.assert_array_equal(samples.X.to_numpy(), expected[list(samples.X.columns)].to_numpy())


def test_an_article_scored_after_a_close_never_moves_that_bar(tmp_path: Path, files: tuple[str, str]) -> None:
    """Published before it; in a replay and in training."""
    bars, scores = read_bars(files[0], "1m"), pd.read_csv(files[1])
    close = int(bars["close_time"].iloc[400])
    symbol = str(bars["symbol"].iloc[400])
    late = {"id": "late", "symbol": symbol, "positive": 1.0, "negative": 0.0, "neutral": 0.0, "available_at": close + 1}
    pd.concat([scores, pd.DataFrame([late])]).to_csv(tmp_path / "planted.csv", index=False)
    planted = str(tmp_path / "planted.csv")
    ours, theirs = (replay(CONFIG, "s", files[0], news=file) for file in (files[1], planted))
    changed = [b.content for a, b in zip(ours.raw, theirs.raw, strict=True) if a.content != b.content]
    assert [(content.symbol, content.time > close) for content in changed] == [(symbol, True)]
    frames = [
        make_samples("s", CONFIG.strategy("s"), bars, news=lambda _, f=file: file_news(f, CONFIG.news, CONFIG_RULE)).X
        for file in (files[1], planted)
    ]
    both = frames[0].index.intersection(frames[1].index)
    before = both[both.get_level_values("time") <= pd.Timestamp(close, unit="ms", tz="UTC")]
    pd.testing.assert_frame_equal(frames[0].loc[before], frames[1].loc[before])


def test_what_was_published_counts_after_the_delay(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("id,symbol,published_at,positive,negative,neutral\nx,A,2013-10-04T14:30:00Z,0.5,0.25,0.25\n")
    found = file_scores(file, News(scorer="lexicon", delay=90))
    assert found["available_at"].tolist() == [1_380_897_000_000 + 90_000]
    assert found["historical"].tolist() == [True]


def test_dates_of_rows_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text(
        "id,symbol,published_at,positive,negative,neutral,scorer\n"
        "x,A,2024-03-08,0.5,0.25,0.25,lexicon\n"
        "y,A,2024-03-09,0.5,0.25,0.25,other\n"
    )
    left = refused(file_scores(file, News(scorer="lexicon")))
    assert left.rows == 1
    assert [count.split()[0] for count in left.read_as] == ["1"]


def test_scores_have_times_and_symbols_as_articles_have(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    head = "id,symbol,{},positive,negative,neutral\n"
    row = "x,\"['$NVDA', 'NASDAQ:GOOG']\",{},0.5,0.25,0.25\n"
    file.write_text(head.format("published_at") + row.format("20240308"))
    found = file_scores(file, News(delay=60))
    assert found["symbol"].tolist() == ["NVDA", "GOOG"]
    assert found["available_at"].tolist() == [1_709_942_400_000 + 60_000] * 2  # midnight after that day
    file.write_text(head.format("available_at") + row.format("2024-03-08T00:00:00Z"))
    assert file_scores(file, News())["available_at"].tolist() == [1_709_856_000_000] * 2
    file.write_text(head.format("available_at") + row.format("2024-03-08"))
    assert file_scores(file, News(timezone="Asia/Tokyo"))["available_at"].tolist() == [1_709_910_000_000] * 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id,symbol,positive,negative,neutral\nx,A,1,0,0\n", "has no column available_at"),
        ("id,symbol,available_at,positive,negative,neutral\nx,A,1380897000000,1,1,0\n", "csv:2 is no score"),
        ("id,symbol,available_at,positive,negative,neutral\nx,A,soon,1,0,0\n", "holds 'soon', which is no time"),
        ("id,symbol,available_at,positive,negative,neutral\nx,A,12,1,0,0\n", "or no time at all"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=fault):
        file_scores(tmp_path / "scores.csv", News())


def test_scores_that_nothing_would_look_at_are_refused(files: tuple[str, str]) -> None:
    plain = Config(strategies={"s": STRATEGY | {"features": ["technical.rsi"], "prediction": "rsi"}})
    with pytest.raises(ConfigurationError, match="uses no news; leave out --news"):
        replay(plain, "s", files[0], news=files[1])
    with pytest.raises(ConfigurationError, match="goes with a file of bars"):
        replay(CONFIG, "s", "kafka", news=files[1])


def test_articles_go_through_the_configured_scorer(tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment")
    file = tmp_path / "articles.csv"
    file.write_text("id,published_at,symbols,headline\nx,2013-10-04T14:30:00Z,A B,Great profit and strong growth\n")
    found = file_scores(file, News(scorer="lexicon", delay=60))
    assert found[["id", "symbol", "historical"]].to_numpy().tolist() == [["x", "A", True], ["x", "B", True]]
    assert (found["positive"] > found["negative"]).all()
