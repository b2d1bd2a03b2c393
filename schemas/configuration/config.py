"""The whole configuration.

Environment variables override the file: ``ALPHAWIRE_KAFKA__BOOTSTRAP=host:9092``; they are the place for secrets.
"""

from pathlib import Path

from pydantic import field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.configuration.fields import Name
from schemas.configuration.kafka_and_worker import Kafka, Worker
from schemas.configuration.news import News, NewsUse
from schemas.configuration.sources import REGISTERED, Source
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
    def _source_of_bars(self) -> "Config":
        self.joined()
        return self

    def joined(self) -> "Config":
        """Itself, its section `kafka` knowing how the bars of their topic are to be read; `ValueError` for a source of
        another topic, and two of one.
        """
        bars = self.kafka.topics.get("bars", f"{self.kafka.prefix}bars")
        found = {name: source for name, source in self.sources.items() if source.topic is not None}
        if wrong := next((name for name, source in found.items() if source.topic != bars), None):
            raise ValueError(
                f"sources.{wrong}.topic: {found[wrong].topic} is not the topic of bars, which is {bars}; name that, or"
                f" set kafka.topics: {{bars: {found[wrong].topic}}}"
            )
        if len(found) > 1:
            raise ValueError(f"sources {' and '.join(found)} are both of the topic {bars}: leave one out")
        for name, source in found.items():
            if source.encoding in REGISTERED and self.kafka.registry is None:
                raise ValueError(f"sources.{name}: encoding {source.encoding} needs kafka.registry: {{url: …}}")
        self.kafka.read_bars_as(next(iter(found.values()), None))
        return self

    def strategy(self, name: str) -> Strategy:
        if name not in self.strategies:
            known = ", ".join(sorted(self.strategies)) or "none"
            raise ConfigurationError(f"there is no strategy {name!r} in the configuration; there is: {known}")
        return self.strategies[name]
