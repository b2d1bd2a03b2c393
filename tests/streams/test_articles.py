"""Articles from files as people have them; nothing is mended silently."""

from pathlib import Path

import pandas as pd
import pytest

from schemas.configuration import News
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire.news import Article
from streams.ingest.article_files import read_articles, select_articles
from streams.ingest.article_symbols import plain, symbols_in

TWEETS = Path(__file__).parents[3] / "shared" / "data" / "equities_text.parquet"
TIME = 1_388_531_408_000


def test_a_csv_file_with_other_names(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text(
        "GUID,Date,Tickers,Title,Summary,Lang\n"
        "b,2014-01-01T00:00:00Z,BAC;C,Banks gain,NA,en\n"
        "a,2013-12-31T23:10:08Z,AAPL, NA ,text,\n"
        "c,,AAPL,x,,\n"
        "d,2014-01-01T00:00:00Z,AAPL,,,\n"
        ",2014-01-01T00:00:00Z,AAPL,x,,\n"
        "e,2014-01-01T00:00:00Z,,x,,\n"
    )
    articles, left = read_articles(file)
    assert articles == [
        Article("a", TIME, ["AAPL"], "NA", "text"),
        Article("b", 1_388_534_400_000, ["BAC", "C"], "Banks gain", "NA", language="en"),
        Article("e", 1_388_534_400_000, [], "x"),
    ]
    assert left.reasons == {"without a time": 1, "without a text": 1, "that are no articles": 1}
    assert left.examples[0] == "news.csv:4: without a time"


def test_rows_that_differ_in_the_symbol_alone_are_one_article_and_another_text_another_version(tmp_path: Path) -> None:
    rows = [("1", "A", "x"), ("1", "B", "x"), ("1", "A", "x"), ("1", "A", "corrected"), ("2", None, "y")]
    frame = pd.DataFrame(rows, columns=["id", "symbol", "text"]).assign(published_at=pd.Timestamp(TIME, unit="ms"))
    frame.to_parquet(tmp_path / "news.parquet")
    articles, left = read_articles(tmp_path, historical=True)
    assert [(a.id, a.symbols, a.body, a.historical) for a in articles] == [
        ("1", ["A", "B"], "x", True),
        ("1", ["A"], "corrected", True),
        ("2", [], "y", True),
    ]
    assert not left.rows


def test_symbols_in_a_list(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [7], "time": [TIME], "symbols": [["A", "B.C"]], "headline": ["x"]})
    frame.to_parquet(tmp_path / "news.parquet")
    assert read_articles(tmp_path / "news.parquet")[0] == [Article("7", TIME, ["A", "B.C"], "x")]


@pytest.mark.parametrize(
    "written",
    [
        "['AAPL', 'MSFT']",
        '["AAPL", "MSFT"]',
        "['AAPL' 'MSFT']",
        "[np.str_('AAPL'), np.str_('MSFT')]",
        "array(['AAPL', 'MSFT'], dtype=object)",
        "('AAPL', 'MSFT', 'AAPL')",
        "[{'ticker': 'AAPL'}, {'ticker': 'MSFT'}]",
        "{'MSFT', 'AAPL'}",  # a set has no order
        "[AAPL, MSFT]",
        "AAPL; MSFT",
        "AAPL|MSFT,",
        '"AAPL, MSFT"',
        '[{"ticker": "AAPL", "score": 1}, {"ticker": "MSFT"}]',
        '["AAPL", null, "MSFT"]',
        ["AAPL", None, "MSFT"],
        ("AAPL", "MSFT"),
    ],
)
def test_lists_of_symbols(written: object) -> None:
    assert symbols_in(written) == ["AAPL", "MSFT"]


def test_an_empty_list_of_symbols_and_one_with_a_space_in_it() -> None:
    assert [symbols_in(none) for none in ("", "[]", None, float("nan"), [])] == [[]] * 5
    assert symbols_in('["BRK B"]') == ["BRK B"]
    assert symbols_in('["BRK\\/B"]') == ["BRK/B"]


@pytest.mark.parametrize("written", ["['AAPL", '"AAPL', '[{"name": "Apple"}]', "AAPL, 'MSFT"])
def test_what_is_no_list_is_refused(written: str) -> None:
    with pytest.raises(BadRecord) as refused:
        symbols_in(written)
    assert refused.value.reason.startswith("its symbols are ")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("$NVDA", "NVDA"),
        ("NASDAQ:GOOG", "GOOG"),
        ("nyse:BRK.B", "BRK.B"),
        ("XETR:SAP", "SAP"),
        ("TSE:7203", "7203"),
        ("AAPL:US", "AAPL:US"),
        ("BINANCE:BTCUSDT", "BINANCE:BTCUSDT"),
        ("NASDAQ:", "NASDAQ:"),
        ("$", "$"),
        ("US$", "US$"),
    ],
)
def test_the_name_that_bars_have(written: str, name: str) -> None:
    assert plain(written) == name


def test_what_is_read_otherwise_than_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(
        "id,published,symbols,title\n"
        "a,2024-03-08,\"['$NVDA', 'AAPL']\",x\n"
        "b,2024-03-08T15:30:00Z,(NASDAQ: GOOG),x\n"
        "c,2024-03-08,['AAPL,x\n"
    )
    with pytest.raises(ConfigurationError, match=r"in 2 rows a date alone \(news.csv:2: 2024-03-08\); write the time"):
        read_articles(tmp_path / "news.csv")
    articles, left = read_articles(tmp_path / "news.csv", news=News(dates="end_of_day"))
    assert [(a.id, a.symbols, a.published_at) for a in articles] == [
        ("b", ["GOOG"], 1_709_911_800_000),
        ("a", ["NVDA", "AAPL"], 1_709_942_400_000),
    ]
    assert left.reasons == {"that are no articles": 1}
    dates = {"1 dates without a time": "the end of their day in UTC (news.timezone)"}
    assert left.read_as == dates | {"$NVDA": "NVDA", "NASDAQ:GOOG": "GOOG"}
    news = News(symbols="as_written", timezone="America/New_York", dates="end_of_day")
    kept, left = read_articles(tmp_path / "news.csv", news=news)
    assert [(a.symbols, a.published_at) for a in kept] == [
        (["NASDAQ:GOOG"], 1_709_911_800_000),
        (["$NVDA", "AAPL"], 1_709_960_400_000),
    ]
    assert left.read_as == {"1 dates without a time": "the end of their day in America/New_York (news.timezone)"}


def test_articles_of_json_lines_and_of_a_named_index_of_integers(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text(
        '{"id": 7, "published_at": "2013-12-31T23:10:08Z", "symbols": ["A", "B.C"], "headline": "x"}\n'
    )
    assert read_articles(tmp_path / "news.jsonl")[0] == [Article("7", TIME, ["A", "B.C"], "x")]
    frame = pd.DataFrame({"time": [TIME], "ticker": ["A"], "title": ["x"]}, index=pd.Index([7], name="id"))
    frame.to_parquet(tmp_path / "indexed.parquet")
    assert read_articles(tmp_path / "indexed.parquet")[0] == [Article("7", TIME, ["A"], "x")]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "America"])
def test_a_zone_that_is_not_there(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        News(timezone=zone)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("time,text", r"has no column id \(id, article_id, guid\); it has time, text"),
        ("id,time", r"has no column headline or body \(headline, title, body, text, content, summary\)"),
        ("id,text", r"has no column published_at \(published_at, published, "),
        ("id,time,text,Text", "has the column text twice"),
    ],
)
def test_a_file_without_what_is_needed(header: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(header + "\n" + "1,2,3,4"[: 2 * header.count(",") + 1] + "\n")
    with pytest.raises(ConfigurationError, match=reason):
        read_articles(tmp_path / "news.csv")


def test_selected() -> None:
    some = [Article("a", 1, ["A"]), Article("b", 2, ["A", "B"]), Article("c", 3)]
    assert [a.id for a in select_articles(some, ["B"])] == ["b"]
    assert [a.id for a in select_articles(some, None, 2, 3)] == ["b"]


@pytest.mark.skipif(not TWEETS.exists(), reason="the shared data is not beside the checkout")
def test_the_real_tweets(tmp_path: Path) -> None:
    frame = pd.read_parquet(TWEETS).iloc[:5_000]
    frame.to_parquet(tmp_path / "tweets.parquet")
    articles, left = read_articles(tmp_path)
    assert not left.rows
    assert sum(len(article.symbols) for article in articles) == len(frame.drop_duplicates(["id", "symbol", "text"]))
    assert {article.id for article in articles} == set(frame["id"].astype(str))
