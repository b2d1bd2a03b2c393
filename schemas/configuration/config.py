"""The whole configuration.

Environment variables override the file: ``ALPHAWIRE_KAFKA__BOOTSTRAP=host:9092``; they are the place for secrets.
"""

from pathlib import Path

from pydantic import field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.configuration.fields import Name
from schemas.configuration.kafka_and_worker import Gateway, Kafka, Worker
from schemas.configuration.news import News, NewsUse
from schemas.configuration.sources import KINDS, REGISTERED, Kind, Source, check_kind
from schemas.configuration.strategy import Strategy
from schemas.configuration.trades import Trades
from schemas.errors import ConfigurationError


class Config(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(env_prefix="ALPHAWIRE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    plugins: tuple[Path, ...] = ()
    """Plugin files, or folders of them; a relative path starts at the folder of the configuration's file."""
    kafka: Kafka = Kafka()
    worker: Worker = Worker()
    news: News = News()
    trades: Trades = Trades()
    gateway: Gateway = Gateway()
    sources: dict[Name, Source] = {}
    strategies: dict[Name, Strategy] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, Source]) -> dict[str, Source]:
        if "kafka" in sources:
            raise ValueError("a source cannot be called kafka: that is the broker's topics")
        return sources

    @model_validator(mode="after")
    def _news_of_strategies(self) -> "Config":
        common = NewsUse.model_validate(self.news.model_dump(include=set(NewsUse.model_fields)))
        if own := [name for name, strategy in self.strategies.items() if strategy.news not in (None, common)]:
            raise ValueError(
                f"strategies.{own[0]}.news is not what the section `news` says, which holds for all; leave it out there"
            )
        strategies = {
            name: strategy if strategy.news else strategy.model_copy(update={"news": common})
            for name, strategy in self.strategies.items()
        }
        object.__setattr__(self, "strategies", strategies)  # the section is frozen for others
        return self

    @model_validator(mode="after")
    def _sources_of_topics(self) -> "Config":
        self.joined()
        return self

    def joined(self) -> "Config":
        """Itself, its section `kafka` knowing how the records of bars, trades and news are to be read; `ValueError` for
        a source of another topic, and two of one.
        """
        found: dict[Kind, str] = {}
        for name, source in self.sources.items():
            if source.topic is None:
                continue
            kind = self._kind_of(name, source.topic)
            if kind in found:
                both = f"sources {found[kind]} and {name}"
                raise ValueError(f"{both} are both of the topic {source.topic}: leave one out")
            found[kind] = name
            check_kind(name, source, kind)
            if source.encoding in REGISTERED and self.kafka.registry is None:
                raise ValueError(f"sources.{name}: encoding {source.encoding} needs kafka.registry: {{url: …}}")
        if "trades" in found and "grace" not in self.trades.model_fields_set:
            raise ValueError(
                f"sources.{found['trades']} is of trades: say trades.grace: null, and nothing is written to it:"
                " a symbol's bar closes with its next trade; or seconds, after which a tick is written there"
            )
        for kind in KINDS:
            self.kafka.read_as(kind, self.sources[found[kind]] if kind in found else None)
        return self

    def _kind_of(self, name: str, topic: str) -> Kind:
        """What the records of a topic are that a source is of."""
        called = {kind: self.kafka.topics.get(kind, self.kafka.prefix + kind) for kind in KINDS}
        for kind, full in called.items():
            if full == topic:
                return kind
        raise ValueError(
            f"sources.{name}.topic: {topic} is not the topic of bars, which is {called['bars']}, nor that of trades"
            f" ({called['trades']}) or news ({called['news']}); name one of these, or set"
            f" kafka.topics: {{bars: {topic}}}"
        )

    def strategy(self, name: str) -> Strategy:
        if name not in self.strategies:
            known = ", ".join(sorted(self.strategies)) or "none"
            raise ConfigurationError(f"there is no strategy {name!r} in the configuration; there is: {known}")
        return self.strategies[name]
