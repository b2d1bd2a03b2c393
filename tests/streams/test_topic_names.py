"""Topics that are called otherwise: every reader and writer goes by the configured names."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from backtest.verify.verify import verify
from schemas.configuration import Config, Kafka, load_config
from schemas.configuration.kafka_and_worker import Topic
from schemas.errors import ConfigurationError
from schemas.wire import decode_signal
from streams.archive.parquet_log import ParquetLog
from streams.archive.writer import archive
from streams.kafka.brokers import TansuBroker
from streams.kafka.log import KafkaLog
from streams.kafka.topics import TOPICS, list_topics, topic_name
from tests.support.live import minute_bars, records, run_to_end, topics_and_bars, write_config


def test_the_configuration_knows_every_topic() -> None:
    assert set(get_args(Topic)) == set(TOPICS)


def test_a_full_name_has_no_prefix() -> None:
    kafka = Kafka(prefix="x.", topics={"bars": "md.ohlc", "dead-letters": "desk.dead"})
    names = [topic_name(kafka, name) for name in ("bars", "dead-letters", "state")]
    assert names == ["md.ohlc", "desk.dead", "x.state"]


@pytest.mark.parametrize(
    ("topics", "fault"),
    [
        ({"bars": "md", "signals": "md"}, "the topics bars and signals are both called md; name one otherwise"),
        ({"bars": "x.signals"}, "the topics bars and signals are both called x.signals"),
        ({"bars": ".."}, "topics.bars: .. is no name of a topic"),
        ({"bars": "a b"}, "String should match pattern"),
        ({"bar": "md"}, "Input should be 'bars', 'signals'"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, topics: dict[str, str], fault: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump({"kafka": {"prefix": "x.", "topics": topics}}))
    with pytest.raises(ConfigurationError) as raised:
        load_config(file)
    assert fault in str(raised.value)


@pytest.fixture(scope="module")
def live(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A worker has read `md.ohlc` and written `desk.signals`; there is an archive of all of it beside the file."""
    file = tmp_path_factory.mktemp("names") / "a.yaml"
    write_config(file, tansu.bootstrap, "named.")
    settings = yaml.safe_load(file.read_text())
    settings["kafka"]["topics"] = {"bars": "md.ohlc", "signals": "desk.signals"}
    file.write_text(yaml.safe_dump(settings))
    config = load_config(file)
    topics_and_bars(config, minute_bars(300))
    run_to_end(file, config, 300)
    asyncio.run(archive(KafkaLog(config.kafka), file.parent / "archive"))
    return config


def test_a_worker_goes_by_the_names(live: Config) -> None:
    there = asyncio.run(list_topics(live.kafka))
    assert {"md.ohlc", "desk.signals", "named.state"} <= there.keys()
    assert "named.bars" not in there
    signals = [decode_signal(record.value) for record in records(live, "signals")]
    assert {signal.provenance.topic for signal in signals} == {"md.ohlc"}
    assert len(signals) == 300


@pytest.mark.parametrize("place", ["broker", "archive"])
def test_what_was_published_is_verified_from_both(
    live: Config, place: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = "kafka"
    if place == "archive":
        (folder,) = tmp_path_factory.getbasetemp().glob("names0/archive")
        log, source = ParquetLog(folder), str(folder)
        assert (topic_name(log, "bars"), topic_name(log, "state")) == ("md.ohlc", "named.state")
    verdict = verify(live, "demo", source=source)
    assert verdict.ok
    assert verdict.equal == 300


def test_an_archive_of_topics_with_other_names_is_another_one(
    live: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder,) = tmp_path_factory.getbasetemp().glob("names0/archive")
    other = live.kafka.model_copy(update={"topics": {"bars": "md.ohlc", "signals": "named.signals2"}})
    with pytest.raises(ConfigurationError, match=r"an archive of topics with prefix 'named\.', names"):
        asyncio.run(archive(Renamed(other, live.kafka), folder))


class Renamed(KafkaLog):
    """The topics of the one, called as the other says."""

    def __init__(self, shown: Kafka, read: Kafka) -> None:
        super().__init__(read)
        self._shown = shown

    @property
    def topics(self) -> Any:
        return self._shown.topics
