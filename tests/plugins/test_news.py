"""Scored articles and the news features, against pandas, on the bars that the project ships.

Sources: a join written out by the rule, ``pandas.groupby(...).mean()``, ``rolling(n, min_periods=…)``,
``scipy.stats.entropy``. The scores are drawn; the bars, and with them the gaps that news falls into, are real.
"""

import numpy as np
import pandas as pd
import pytest
from plugins.news import NEWS_COLUMNS, SCORES, uncertainty, with_news
from scipy.stats import entropy

from plugins.base.streaming import over_frame
from plugins.features import feature_registry
from schemas.errors import PluginError
from tests.support.feature_bars import SHARED, SHIPPED, needs_shared
from tests.support.memory import ready, stepped

MINUTE = 60_000
FINBERT = ("positive_score", "negative_score", "neutral_score", "uncertainty_score", "article_volume")


def pooled(path, count: int = 400) -> pd.DataFrame:
    """The last bars of each symbol, indexed by (symbol, time), in the order of time."""
    data = pd.read_parquet(path).groupby("symbol").tail(count)
    data["time"] = pd.to_datetime(data["timestamp"], utc=True)
    return data.set_index(["symbol", "time"]).sort_index(level="time", kind="stable")


def drawn_articles(bars: pd.DataFrame, count: int, seed: int = 1) -> pd.DataFrame:
    """Articles of some of the symbols, at all times around the bars', some exactly at a close, some scored twice."""
    random = np.random.default_rng(seed)
    times = bars.index.get_level_values("time").as_unit("ms").asi8
    available = random.integers(times.min() - 10 * MINUTE, times.max() + 10 * MINUTE, count)
    available[::3] = random.choice(times, len(available[::3]))
    scores = random.dirichlet([1.0, 1.0, 1.0], count)
    articles = pd.DataFrame(
        {
            "id": [f"a{number % (count - 20):05}" for number in random.permutation(count)],
            "symbol": random.choice([*bars.index.unique("symbol")[:3], "NOWHERE"], count),
            "available_at": available,
        }
    )
    return articles.assign(**{name: scores[:, i] for i, name in enumerate(SCORES[:3])})


def joined_by_the_rule(bars: pd.DataFrame, articles: pd.DataFrame) -> pd.DataFrame:
    """Each article with the row of its bar: the only one whose (previous close, close] holds it."""
    first = articles.drop_duplicates(["id", "symbol"])
    found = []
    for symbol, own in bars.groupby(level="symbol", sort=False):
        closes = own.index.get_level_values("time").as_unit("ms").asi8
        opens = np.r_[closes[0] - MINUTE, closes[:-1]]
        for _, article in first[first["symbol"] == symbol].iterrows():
            for begin, end in zip(opens, closes, strict=True):
                if begin < article["available_at"] <= end:
                    found.append(article.to_dict() | {"time": pd.Timestamp(end, unit="ms", tz="UTC")})
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return pooled(SHIPPED / "equities_minute.parquet")


def check_finbert(bars: pd.DataFrame, articles: pd.DataFrame) -> None:
    ours = feature_registry.create("news.finbert_sentiment").compute(with_news(bars, articles, MINUTE))
    assert tuple(ours.columns) == FINBERT
    assert ours.index.equals(bars.index)
    rows = joined_by_the_rule(bars, articles)
    rows["uncertainty"] = entropy(rows[list(SCORES[:3])].to_numpy(), axis=1) / np.log(3)
    grouped = rows.groupby(["symbol", "time"])
    means = grouped[list(SCORES)].mean().reindex(bars.index)
    np.testing.assert_allclose(ours[list(FINBERT[:4])], means, rtol=1e-9)
    np.testing.assert_array_equal(ours["article_volume"], grouped.size().reindex(bars.index, fill_value=0))
    assert ours["article_volume"].max() > 1
    assert (ours["article_volume"] == 0).any()


def test_sentiment_is_the_mean_over_a_bars_articles(bars):
    check_finbert(bars, drawn_articles(bars, 500))


@pytest.mark.slow
@needs_shared
def test_sentiment_is_the_mean_on_shared_bars():
    bars = pooled(SHARED / "equities_minute.parquet", 2_000)
    check_finbert(bars, drawn_articles(bars, 3_000))


def one_symbol(closes: list[int]) -> pd.DataFrame:
    times = pd.to_datetime([close * MINUTE for close in closes], unit="ms", utc=True)
    return pd.DataFrame(index=pd.MultiIndex.from_product([["A"], times], names=["symbol", "time"]))


def article(identity: str, available_at: int, positive: float = 0.5, symbol: str = "A") -> dict[str, object]:
    rest = (1 - positive) / 2
    return {
        "id": identity, "symbol": symbol, "available_at": available_at,
        "positive": positive, "negative": rest, "neutral": rest,
    }  # fmt: skip


def volumes(closes: list[int], *articles: dict[str, object]) -> list[float]:
    return with_news(one_symbol(closes), pd.DataFrame(list(articles)), MINUTE)["news_articles"].tolist()


def test_an_article_at_the_close_counts_for_the_bar_that_closes():
    assert volumes([1, 2], article("x", MINUTE)) == [1, 0]
    assert volumes([1, 2], article("x", MINUTE + 1)) == [0, 1]


def test_after_a_gap_all_news_since_the_last_close_counts():
    assert volumes([1, 5], article("x", MINUTE + 1), article("y", 3 * MINUTE), article("z", 5 * MINUTE)) == [0, 3]


def test_a_first_bar_counts_its_own_interval():
    assert volumes([5, 6], article("old", 4 * MINUTE), article("new", 4 * MINUTE + 1)) == [1, 0]


def test_news_after_the_last_bar_and_of_other_symbols_counts_for_none():
    assert volumes([1, 2], article("x", 2 * MINUTE + 1), article("y", MINUTE, symbol="B")) == [0, 0]


def test_the_first_score_in_log_order_wins():
    """Even where the second one was available earlier."""
    rows = pd.DataFrame([article("x", 2 * MINUTE, 0.75), article("x", MINUTE, 0.25)])
    joined = with_news(one_symbol([1, 2]), rows, MINUTE)
    assert joined["news_positive"].tolist() == [0.0, 0.75]
    assert joined["news_articles"].tolist() == [0, 1]


def test_one_article_counts_for_each_of_its_symbols():
    two = pd.concat([one_symbol([1]), one_symbol([1]).rename({"A": "B"})])
    rows = pd.DataFrame([article("x", MINUTE, 0.75), article("x", MINUTE, 0.25, symbol="B")])
    assert with_news(two, rows, MINUTE)["news_positive"].tolist() == [0.75, 0.25]


def test_the_order_of_the_log_does_not_change_a_bit(bars):
    articles = drawn_articles(bars, 500).drop_duplicates(["id", "symbol"])
    one = with_news(bars, articles, MINUTE)[list(NEWS_COLUMNS)]
    other = with_news(bars, articles.sample(frac=1, random_state=3), MINUTE)[list(NEWS_COLUMNS)]
    assert one.to_numpy().tobytes() == other.to_numpy().tobytes()


def test_an_unknown_scorer_is_unknown_and_not_silent():
    rows = pd.DataFrame([article("x", MINUTE)])
    data = with_news(one_symbol([1, 2, 3]), rows, MINUTE, np.array([True, False, True]))
    sentiment = feature_registry.create("news.finbert_sentiment").compute(data)
    assert sentiment["article_volume"].tolist() == [1.0, pytest.approx(np.nan, nan_ok=True), 0.0]
    assert sentiment.iloc[1].isna().all()
    assert sentiment.iloc[2, :4].isna().all()


def test_a_strategy_without_a_scorer_knows_no_news():
    """Nothing gives it the news yet: unknown, all of it."""
    features = ["news.sentiment_momentum", "news.finbert_sentiment", "technical.rsi"]
    given = stepped(features, prediction="sentiment_momentum")
    assert given[[*FINBERT, "sentiment_momentum"]].isna().all(axis=None)
    assert given["rsi"].notna().any()


def test_uncertainty_is_between_nothing_and_everything():
    scores = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]]).T
    np.testing.assert_allclose(uncertainty(*scores), [0.0, 1.0, np.log(2) / np.log(3)], rtol=1e-12)


@pytest.mark.parametrize(
    ("frame", "articles", "told"),
    [
        (one_symbol([1]).reset_index(level=0), pd.DataFrame([article("x", 1)]), r"must be indexed by \(symbol, time\)"),
        (one_symbol([2, 1]), pd.DataFrame([article("x", 1)]), "do not ascend in time; sort them"),
        (one_symbol([1]), pd.DataFrame([article("x", 1)]).drop(columns="neutral"), "have no column neutral; they need"),
    ],
)
def test_what_cannot_be_joined_is_named(frame, articles, told):
    with pytest.raises(PluginError, match=rf"^news: .*{told}"):
        with_news(frame, articles, MINUTE)


def sentiments(seed: int = 4, count: int = 400, share: float = 0.4) -> pd.DataFrame:
    """Scores of bars, most of them without news."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet([1.0, 1.0, 1.0], count)
    scores[random.random(count) > share] = np.nan
    return pd.DataFrame({"positive_score": scores[:, 0], "negative_score": scores[:, 1]})


@pytest.mark.parametrize("window", [1, 5, 30])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_momentum_equals_pandas(window, share):
    data = sentiments(share=share)
    ours = feature_registry.create("news.sentiment_momentum", window=window).compute(data)["sentiment_momentum"]
    difference = data["positive_score"] - data["negative_score"]
    theirs = difference.rolling(window, min_periods=1).apply(np.nanmean, raw=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(ours, difference.rolling(window, min_periods=1).mean(), atol=1e-12)


@pytest.mark.parametrize("window", [2, 20])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_divergence_equals_pandas(window, share):
    data = sentiments(share=share)
    ours = feature_registry.create("news.sentiment_divergence", window=window).compute(data)["sentiment_divergence"]
    difference = data["positive_score"] - data["negative_score"]
    rolling = difference.rolling(window, min_periods=2)
    std = rolling.apply(lambda values: np.nanstd(values, ddof=1), raw=True)
    theirs = (difference - rolling.apply(np.nanmean, raw=True)) / std
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert ours.notna().any()


def test_divergence_not_normalised_is_the_difference():
    data = sentiments()
    ours = feature_registry.create("news.sentiment_divergence", normalise=False).compute(data)["sentiment_divergence"]
    np.testing.assert_array_equal(ours, data["positive_score"] - data["negative_score"])


def test_edges_of_divergence():
    feature = feature_registry.create("news.sentiment_divergence", window=3)
    same = pd.DataFrame({"positive_score": [0.1] * 5, "negative_score": [0.7] * 5})
    assert feature.compute(same)["sentiment_divergence"].isna().all()
    alone = pd.DataFrame({"positive_score": [0.1, np.nan, np.nan, 0.2], "negative_score": [0.0] * 4})
    assert feature.compute(alone)["sentiment_divergence"].isna().all()


@pytest.mark.parametrize(
    ("key", "first"),
    [("news.finbert_sentiment", 1), ("news.sentiment_momentum", 1), ("news.sentiment_divergence", 2)],
)
def test_first_value_and_warmup(key, first):
    data = sentiments(share=1.0).assign(**dict.fromkeys(NEWS_COLUMNS, 1.0))
    feature = feature_registry.create(key)
    values = over_frame(feature, data).to_numpy()[:, 0]
    assert int(np.flatnonzero(~np.isnan(values))[0]) + 1 == first
    assert feature.warmup == first - 1


def test_a_sentiment_is_required():
    for key in ("news.sentiment_momentum", "news.sentiment_divergence"):
        assert feature_registry.get(key).requires == ("positive_score", "negative_score")
    strategy = ready(
        "one", features=["news.sentiment_momentum", {"news.finbert_sentiment": {"as": "f"}}, "technical.rsi"]
    )
    assert strategy.order == (1, 0, 2)
