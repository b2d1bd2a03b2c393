"""The names of the topics that a worker reads and writes."""

from dataclasses import dataclass

from schemas.configuration import Kafka
from streams.kafka.topics import topic_name


@dataclass(frozen=True)
class TopicNames:
    """Names of topics as configured. `signal_schema`: the id of the schema by which signals are written in Avro; None:
    they are written in JSON.
    """

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
    side_inputs: str = "side.inputs"
    signal_schema: int | None = None

    @classmethod
    def of(cls, kafka: Kafka) -> "TopicNames":
        """Those of a configuration."""
        names = ["bars", "signals", "state", "control", "dead-letters", "predictions.shadow", "predictions"]
        full = [topic_name(kafka, name) for name in (*names, "news.scores", "trades", "trades.state", "side.inputs")]
        bars, signals, state, control, dead_letters, *others = full
        shadow, predictions, news_scores, trades, trades_state, side_inputs = others
        return cls(
            bars, signals, state, control, dead_letters, shadow, predictions, news_scores, trades, trades_state,
            side_inputs,
        )  # fmt: skip
