"""The configuration file, validated before anything starts.

Environment variables override the file: ``ALPHAWIRE_KAFKA__BOOTSTRAP=host:9092``; they are the place for secrets.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from schemas.configuration.universe import UniverseSetting
from schemas.errors import ConfigurationError
from schemas.wire import interval_ms


def _interval(value: str) -> str:
    interval_ms(value)
    return value


def _addresses(value: str) -> str:
    for address in value.split(","):
        if "@" in address:  # a mistake that could hold a password, so it is not shown
            raise ValueError("an address of a broker has no user; write HOST:PORT, and kafka.username")
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{address.strip()!r} is no address of a broker; write HOST:PORT, such as localhost:9092")
    return value


Interval = Annotated[str, AfterValidator(_interval)]
Addresses = Annotated[str, AfterValidator(_addresses)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Kafka(Section):
    """How to reach the broker, and where the topics are."""

    bootstrap: Addresses = "localhost:9092"
    embedded: bool = Field(False, description="start the broker that the package ships, on `bootstrap`'s port")
    prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="prefix of every topic name")
    group: Name = "alphawire"
    partitioner: Literal["murmur2", "crc32", "as_is"] = "murmur2"
    delivery: Literal["auto", "at_least_once", "exactly_once"] = "auto"
    partitions: int = Field(4, ge=1, le=1000, description="of topics that alphawire creates")
    news_partitions: int = Field(2, ge=1, le=1000, description="of the topic news; the most scorers that can share it")
    replication: int = Field(1, ge=1, le=10)
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = None
    password: SecretStr | None = Field(None, description="in the environment, never in the file")
    password_file: Path | None = Field(None, description="a file that holds the password alone")
    ca_file: Path | None = None
    cert_file: Path | None = Field(None, description="the client's certificate, for a broker that wants one")
    key_file: Path | None = Field(None, description="its private key, not encrypted; none: it is in cert_file")
    session_timeout: float = Field(
        10.0, ge=1.0, le=3600.0, description="seconds without a heartbeat after which a worker is given up"
    )


class Worker(Section):
    """How a worker runs."""

    commit_interval: float = Field(
        0.1, gt=0, le=60, description="seconds: the longest wait before what is published is marked"
    )
    snapshot_interval: float = Field(30.0, gt=0, description="seconds between rounds of snapshots")
    chunk: int = Field(2000, ge=1, le=100_000, description="records worked on at once")
    pending: int = Field(20_000, ge=1, description="signals that may wait for the broker before a worker stops reading")
    delivery_timeout: float = Field(
        60.0, gt=0, description="seconds to wait for a slow or absent broker before the process ends"
    )
    stop_timeout: float = Field(20.0, gt=0, description="seconds for a graceful stop")
    stall_timeout: float = Field(
        120.0, gt=0, description="seconds with lag and without progress after which the process ends"
    )
    ready_lag: int = Field(
        10_000, ge=0, description="records of a partition that may wait before a worker is not ready"
    )
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http: bool = True
    http_host: str = "127.0.0.1"
    http_port: int = Field(6066, ge=0, le=65535)


class NewsUse(Section):
    """Which scores count, and when: what a strategy that uses news depends on."""

    scorer: Name = Field("none", description="finbert, lexicon, or another; none: what uses news is unknown")
    delay: float = Field(
        60.0, ge=0, le=31_536_000, description="seconds from the publication of a historical article until it counts"
    )
    syndicated: Literal["once", "each"] = Field("once", description="how often copies of a text count")
    memory: float = Field(
        604_800.0, gt=0, le=31_536_000, description="seconds for which articles and texts are remembered"
    )


class News(NewsUse):
    """How articles are scored, and how bars are joined with their scores; see docs/news.md."""

    model: str = Field("ProsusAI/finbert", min_length=1, description="of finbert: a folder, or a name of the hub")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: int = Field(64, ge=1, le=4096, description="articles that are scored and written at once at most")
    max_length: int = Field(256, ge=8, le=8192, description="tokens of a text that are read")
    http_port: int = Field(6067, ge=0, le=65535, description="of the scorer's pages; 0 takes a free one")
    mark_interval: float = Field(1.0, ge=0.02, le=60, description="seconds between progress marks")
    grace: float = Field(5.0, ge=0, le=3600, description="seconds that a bar waits for its news")


class PluginUse(Section):
    """One plugin with its parameters: ``technical.rsi: {period: 14, as: rsi_fast}``, or just its key."""

    key: str
    params: dict[str, Any] = {}
    alias: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"key": value}
        if isinstance(value, dict) and len(value) == 1 and "key" not in value:
            ((key, params),) = value.items()
            if not isinstance(params or {}, dict):
                raise ValueError(f"the parameters of {key} are not a mapping")
            params = dict(params or {})
            return {"key": key, "alias": params.pop("as", None), "params": params}
        if isinstance(value, dict) and "params" not in value and "key" in value:
            value = dict(value)
            return {"key": value.pop("key"), "alias": value.pop("as", None), "params": value}
        return value


class ModelUse(Section):
    """A trained artifact; `trusted` allows a plugin to unpickle it."""

    key: str
    artifact: Path
    params: dict[str, Any] = {}
    trusted: bool = False


class Training(Section):
    """What a model learns, and how; see docs/training.md."""

    target: Literal["forward_return", "forward_direction", "triple_barrier"] = "forward_return"
    horizon_bars: int = Field(5, ge=1, le=10_000)
    profit_taking: float = Field(2.0, ge=0, description="upper barrier, in units of volatility; 0: there is none")
    stop_loss: float = Field(2.0, ge=0, description="lower barrier, in units of volatility; 0: there is none")
    volatility_bars: int = Field(20, ge=2, le=10_000, description="bars of the barriers' volatility")
    per_symbol: bool = Field(False, description="one model for each symbol, instead of one for all")
    embargo_bars: int = Field(0, ge=0, description="bars left out beside test rows, besides those that reach into them")

    @model_validator(mode="after")
    def _some_barrier(self) -> "Training":
        if self.target == "triple_barrier" and not self.profit_taking and not self.stop_loss:
            raise ValueError("triple_barrier with neither profit_taking nor stop_loss: every label is 0; give one")
        return self


class Execution(Section):
    """How a signal becomes a trade in a backtest; see the execution contract in the docs."""

    price: Literal["next_open", "next_close", "this_close"] = "next_open"
    commission: float = Field(0.0005, ge=0, lt=1, description="fraction of the notional")
    slippage: float = Field(0.0005, ge=0, lt=1, description="fraction of the price")
    capital: float = Field(100_000.0, gt=0)
    weight: float = Field(1.0, gt=0)
    lot: float = Field(1e-4, gt=0)
    leverage: float = Field(1.0, gt=0)
    long_only: bool = False
    rebalance: Literal["on_change", "always"] = "on_change"
    calendar: str = Field(
        "auto",
        description="the market's, by which metrics are annualised: 24/7, a name of exchange_calendars (XNYS), or auto:"
        " the data's own days",
    )
    i_know_this_looks_ahead: bool = False

    @model_validator(mode="after")
    def _no_look_ahead(self) -> "Execution":
        if self.price == "this_close" and not self.i_know_this_looks_ahead:
            raise ValueError(
                "price this_close trades at a price that was not known yet;"
                " set i_know_this_looks_ahead: true to do it all the same"
            )
        return self


class CrossSection(Section):
    """How a strategy that decides about all symbols at once gathers them."""

    grace: float = Field(
        2.0, gt=0, le=3600, description="seconds after a time's first prediction, then its cross-section is closed"
    )


class Strategy(Section):
    """One pipeline: features, model, signal, universe."""

    interval: Interval
    universe: UniverseSetting = "*"
    features: list[PluginUse] = Field(min_length=1)
    model: ModelUse | None = None
    shadow: ModelUse | None = Field(None, description="a second model that predicts beside, and decides nothing")
    prediction: str | None = Field(None, description="use this feature column as the prediction")
    training: Training = Training()
    signal: PluginUse
    cross_section: CrossSection = CrossSection()
    execution: Execution = Execution()
    news: NewsUse | None = Field(None, description="by default what the section `news` says")
    origin: Literal["earliest", "now"] = Field(
        "earliest", description="how far back the state of a new strategy begins"
    )
    start: Literal["now", "earliest"] | int = Field(
        "now", description="from where a new strategy publishes; a time in ms"
    )

    @model_validator(mode="after")
    def _one_prediction(self) -> "Strategy":
        if (self.model is None) == (self.prediction is None):
            raise ValueError("give either `model` or `prediction: COLUMN`")
        if self.shadow is not None and self.model is None:
            raise ValueError("a `shadow` stands beside a `model`; give both, or leave out `shadow`")
        return self


class Config(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(env_prefix="ALPHAWIRE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    kafka: Kafka = Kafka()
    worker: Worker = Worker()
    news: News = News()
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

    def strategy(self, name: str) -> Strategy:
        if name not in self.strategies:
            known = ", ".join(sorted(self.strategies)) or "none"
            raise ConfigurationError(f"there is no strategy {name!r} in the configuration; there is: {known}")
        return self.strategies[name]


def load_config(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """The configuration in `path` (none: defaults and environment alone), with `overrides` (``{"kafka": {"bootstrap":
    …}}``) on top.
    """
    data = _read(path) if path is not None else {}
    _check_secrets(data, path)
    try:
        config = Config(**data)
        # section by section: validating the whole again would let the environment win over the overrides
        for section, values in (overrides or {}).items():
            now = getattr(config, section)
            config = config.model_copy(update={section: type(now).model_validate(now.model_dump() | values)})
        return config
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path)) from None
    except SettingsError as error:
        raise ConfigurationError(
            f"environment: {error}; write JSON, or name one setting, such as ALPHAWIRE_KAFKA__BOOTSTRAP"
        ) from None


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has a key twice: YAML forbids it, and PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} is there twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror or error}") from None
    # PyYAML's constructors raise what they like: for !!timestamp x, !!map [1], numbers of 5,000 digits, deep nesting
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        place, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{path}:{place.line + 1}" if place else str(path)
        raise ConfigurationError(f"{where}: not valid YAML{f': {problem}' if problem else ''}") from None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise ConfigurationError(
            f"{path}: the file is no mapping of sections; it starts with `kafka:` or `strategies:`"
        )
    return data


def _check_secrets(data: dict[str, Any], path: Path | None) -> None:
    """The file is copied, shown and kept under version control."""
    kafka = data.get("kafka")
    if isinstance(kafka, dict) and kafka.get("password") is not None:
        raise ConfigurationError(
            f"{path}: kafka.password: a password does not belong in this file; set ALPHAWIRE_KAFKA__PASSWORD,"
            " or name a file with it in kafka.password_file"
        )


def _explain(error: ValidationError, path: Path | None) -> str:
    source = str(path) if path else "configuration"
    lines = []
    for fault in error.errors(include_url=False, include_context=True):
        place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("<")) or "top level"
        unknown = fault["type"] == "extra_forbidden"
        text = (
            f"there is no such setting; {_near(fault['loc'])}"
            if unknown
            else fault["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{source}: {place}: {text}")
    return "; ".join(lines)


def _near(place: tuple[str | int, ...]) -> str:
    """The settings that there are at `place`: those like its last name, else all."""
    kinds: list[type[BaseModel]] = [Config]
    for part in place[:-1]:
        fields = [kind.model_fields[str(part)] for kind in kinds if str(part) in kind.model_fields]
        # not a field: a name or a number in a mapping or list of the same kind
        kinds = [model for field in fields for model in _models(field.annotation)] or kinds
    names = sorted({name for kind in kinds for name in kind.model_fields})
    near = difflib.get_close_matches(str(place[-1]), names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(names)}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def config_path(given: str | None) -> Path | None:
    """The file named on the command line, in ``ALPHAWIRE_CONFIG``, or ``alphawire.yaml`` here; none of them: None."""
    if given:
        return Path(given)
    if environment := os.environ.get("ALPHAWIRE_CONFIG"):
        return Path(environment)
    default = Path("alphawire.yaml")
    return default if default.exists() else None
