"""Topics of trades and news as other people write them: the right record, or a line that says what to declare."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from schemas.configuration import Config, Kafka, Source, load_config
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire.news import Article
from schemas.wire.trades import Tick, Trade
from streams.consuming.clock_bound import ClockBound
from streams.consuming.decoding.decoders import ArticleDecoder, TradeDecoder
from streams.consuming.trade_intake import TradeIntake
from streams.kafka.brokers import Broker
from streams.kafka.clients import open_producer
from streams.kafka.topics import create_topics, topic_name
from streams.scorer.service import decoder_of
from tests.support.memory import Fetched
from tests.support.news_records import Clock, config_of, running, scores, until, written

TIME = 1_709_908_200_123
# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams: a buyer who is the maker was sold to
TRADE = {
    "e": "trade", "E": TIME + 4, "s": "BNBBTC", "t": 12345, "p": "0.00100000", "q": "100.00000000", "T": TIME,
    "m": True, "M": True,
}  # fmt: skip
OF_TRADES: dict[str, Any] = {
    "columns": {"symbol": "s", "price": "p", "size": "q", "id": "t", "side": "m"},
    "time": {"columns": "T", "unit": "ms"}, "texts": True, "only": {"e": "trade"},
    "sides": {"true": "sell", "false": "buy"},
}  # fmt: skip
# as https://docs.alpaca.markets/docs/streaming-real-time-news has it
ARTICLE = {
    "T": "n", "id": 24918784, "headline": "Corsair Reports Purchase Of Majority Ownership", "summary": "Corsair.",
    "author": "Benzinga Newsdesk", "created_at": "2022-01-05T22:00:37Z", "url": "https://www.benzinga.com/a/24918784",
    "content": "", "symbols": ["NASDAQ:CRSR", "$BAC"], "source": "benzinga",
}  # fmt: skip
OF_NEWS: dict[str, Any] = {
    "columns": {"published_at": "created_at", "body": "summary", "url": "url", "source": "source"},
    "only": {"T": "n"},
}


def decoder(**settings: Any) -> TradeDecoder:
    return TradeDecoder(json.dumps({"topic": "trades"} | settings), None)


def trade(value: Any, **settings: Any) -> Trade | Tick | None:
    return decoder(**settings).trade(value if isinstance(value, bytes) else json.dumps(value).encode())


def article(value: Any, as_written: bool = False, **settings: Any) -> Article | None:
    made = ArticleDecoder(json.dumps({"topic": "news"} | settings), None, as_written)
    return made.article(json.dumps(value).encode())


def test_a_venues_own_record_is_a_trade() -> None:
    assert trade(TRADE, **OF_TRADES) == Trade("BNBBTC", TIME, 0.001, 100.0, "12345", "sell")
    assert trade(TRADE | {"m": False}, **OF_TRADES) == Trade("BNBBTC", TIME, 0.001, 100.0, "12345", "buy")
    assert trade(TRADE | {"e": "aggTrade"}, **OF_TRADES) is None


def test_what_is_not_declared_is_not_taken_for_an_id() -> None:
    """Another id would have trades dropped as repeats."""
    own = {"symbol": "A", "time": TIME, "price": 1.5, "size": 2, "id": "message-7", "side": "buy"}
    assert trade(own, time={"unit": "ms"}) == Trade("A", TIME, 1.5, 2.0)
    declared = {"id": "id", "side": "side"}
    assert trade(own, time={"unit": "ms"}, columns=declared) == Trade("A", TIME, 1.5, 2.0, "message-7", "buy")


def test_the_services_ticks_are_read_between_them() -> None:
    assert trade(b'{"kind":"tick","symbol":"A","time":60000}', **OF_TRADES) == Tick("A", 60_000)
    foreign = b'{"kind":"tick","symbol":"A","time":1709908200123,"price":1.5,"size":2}'
    assert trade(foreign, time={"unit": "ms"}) == Trade("A", TIME, 1.5, 2.0)


@pytest.mark.parametrize(
    ("change", "settings", "word"),
    [
        ({"p": 0.0}, {}, "price 0.0 is not above 0"),
        ({"q": "-1"}, {}, "size -1.0 is not above 0"),
        ({"q": "NaN"}, {}, "q is 'NaN', which is no number"),
        ({"p": "1e200"}, {}, "not below 1e+100"),
        ({"t": None}, {}, "its id is None"),
        ({"t": True}, {}, "its id is True"),
        ({"m": "maker"}, {}, "declare sides: {maker: buy}"),
        ({"s": "B N"}, {}, "white space"),
        ({"T": str(TIME)[:-3] + ".5"}, {}, "its time '1709908200.5' is not written as"),
        ({}, {"texts": False}, "p is the text '0.00100000': declare texts: true"),
        ({}, {"time": {"columns": "T"}}, "declare time: {unit: ms}"),
        ({}, {"columns": {"symbol": "s", "size": "q"}}, "it has no field price"),
    ],
)
def test_what_is_no_trade_says_what_to_declare(change: dict[str, Any], settings: dict[str, Any], word: str) -> None:
    with pytest.raises(BadRecord) as raised:
        trade(TRADE | change, **OF_TRADES | {"sides": {}} | settings if "columns" in settings else OF_TRADES | settings)
    assert word in raised.value.reason


def test_keys_and_partitions_are_looked_at_as_declared() -> None:
    value = json.dumps(TRADE).encode()
    strict = TradeIntake(0, 1, "murmur2", ClockBound(), decoder(**OF_TRADES))
    loose = TradeIntake(0, 1, "murmur2", ClockBound(), decoder(**OF_TRADES, key="any"))
    assert strict.read(Fetched(0, value, b"BNBBTC")) == loose.read(Fetched(0, value, None))
    with pytest.raises(BadRecord, match="declare key: any"):
        strict.read(Fetched(1, value, b"btc"))


def test_a_wires_own_record_is_an_article() -> None:
    made = article(ARTICLE, **OF_NEWS)
    assert made is not None
    assert msgspec.structs.asdict(made) == {
        "id": "24918784", "published_at": 1_641_420_037_000, "symbols": ["CRSR", "BAC"],
        "headline": "Corsair Reports Purchase Of Majority Ownership", "body": "Corsair.", "source": "benzinga",
        "url": "https://www.benzinga.com/a/24918784", "language": None, "historical": False,
    }  # fmt: skip
    written = article(ARTICLE, True, **OF_NEWS)
    assert written is not None
    assert written.symbols == ["NASDAQ:CRSR", "$BAC"]
    assert article(ARTICLE | {"T": "t"}, **OF_NEWS) is None
    of_text = article(ARTICLE | {"symbols": "CRSR, BAC"}, **OF_NEWS)
    assert of_text is not None
    assert of_text.symbols == ["CRSR", "BAC"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"created_at": "2022-01-05T22:00:37"}, "declare time: {zone: UTC}"),
        ({"created_at": 1641420037}, "declare time: {unit: ms}"),
        ({"id": ""}, "its id is ''"),
        ({"headline": "", "summary": None}, "neither a headline nor a body"),
        ({"headline": {"en": "x"}}, "headline is {'en': 'x'}"),
        ({"symbols": [{"name": "x"}]}, "objects without symbol, ticker, code"),
        ({"symbols": ["A B"]}, "white space"),
    ],
)
def test_what_is_no_article_says_what_to_declare(change: dict[str, Any], word: str) -> None:
    with pytest.raises(BadRecord) as raised:
        article(ARTICLE | change, **OF_NEWS)
    assert word in raised.value.reason


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"sources": {"a": {"topic": "x", "interval": "1m"}}}, "not the topic of bars, which is bars, nor that of"),
        ({"sources": {"a": {"topic": "trades"}}}, "say trades.grace: null"),
        ({"sources": {"a": {"topic": "trades", "interval": "1m"}}}, "interval is nothing that trades have"),
        ({"sources": {"a": {"topic": "trades", "records": "data"}}}, "records is nothing that trades have"),
        ({"sources": {"a": {"topic": "news", "columns": {"open": "o"}}}}, "open is no field of news"),
        ({"sources": {"a": {"topic": "trades", "sides": {"1": "buy"}}}}, "name that"),
        ({"sources": {"a": {"topic": "bars"}}}, "say how long the topic's bars are"),
        ({"sources": {"a": {"topic": "trades", "encoding": "avro"}}}, "needs kafka.registry: {url: …}"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, Any], fault: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigurationError) as raised:
        load_config(file)
    assert fault in str(raised.value)


def test_sources_of_all_three_stand_side_by_side() -> None:
    sources = {
        "ohlc": {"topic": "bars", "interval": "1m"},
        "prints": {"topic": "md.trades", "price_scale": 0.01},
        "wire": {"topic": "news", "columns": {"headline": "title"}},
    }
    given = {"kafka": {"topics": {"trades": "md.trades"}}, "trades": {"grace": None}, "sources": sources}
    config = Config.model_validate(given)
    found = [json.loads(config.kafka.source_of(topic))["topic"] for topic in ("bars", "trades", "news")]
    assert found == ["bars", "md.trades", "news"]
    assert decoder_of(config) is not None
    assert decoder_of(Config()) is None


def test_articles_of_a_wire_are_scored(tansu: Broker, kafka_config: Callable[..., Kafka]) -> None:
    """One that cannot be read is a dead letter, one of another kind is counted."""
    kafka = kafka_config(tansu, partitions=2)
    config = config_of(kafka)
    config.kafka.read_as("news", Source.model_validate({"topic": "news", "key": "any"} | OF_NEWS))
    asyncio.run(scored(config))


async def scored(config: Config) -> None:
    kafka = config.kafka
    sent = [ARTICLE, ARTICLE | {"T": "t"}, ARTICLE | {"created_at": "yesterday"}]
    await create_topics(kafka)
    async with open_producer(kafka) as producer:
        for value in sent:
            await producer.send_and_wait(topic_name(kafka, "news"), json.dumps(value).encode(), partition=0)
    async with running(config, Clock(TIME)) as scorer:
        await until(scorer, lambda: scorer.totals()["dead_letters"] == 1)
    totals = scorer.totals()
    assert (totals["articles"], totals["not_chosen"]) == (1, 1)
    found = scores(await written(kafka))
    assert sorted((score.symbol, score.article) for score in found) == [("BAC", "24918784"), ("CRSR", "24918784")]
