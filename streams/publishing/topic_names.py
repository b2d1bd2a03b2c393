"""The names of the topics that a worker reads and writes."""

from dataclasses import dataclass

from schemas.configuration import Kafka
from streams.kafka.topics import topic_name


@dataclass(frozen=True)
class TopicNames:
    """Topic names with the configured prefix."""

    bars: str
    signals: str
    state: str
    control: str
    dead_letters: str
    shadow: str = "predictions.shadow"
    predictions: str = "predictions"
    news_scores: str = "news.scores"
    trades: str = "trades"
    trades_state: str = "trades.state"

    @classmethod
    def of(cls, kafka: Kafka) -> "TopicNames":
        """Those of a configuration."""
        names = ("bars", "signals", "state", "control", "dead-letters", "predictions.shadow", "predictions")
        return cls(*(topic_name(kafka, name) for name in (*names, "news.scores", "trades", "trades.state")))
