"""The configuration file, validated before anything starts.

Environment variables override the file: ``ALPHAWIRE_KAFKA__BOOTSTRAP=host:9092``; they are the place for secrets.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.errors import ConfigurationError
from schemas.messages import interval_ms


def _interval(value: str) -> str:
    interval_ms(value)
    return value


Interval = Annotated[str, AfterValidator(_interval)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(Section):
    """How to reach the broker, and where the topics are."""

    bootstrap: str = "localhost:9092"
    embedded: bool = Field(False, description="start the broker that the package ships, on `bootstrap`'s port")
    prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="prefix of every topic name")
    group: Name = "alphawire"
    partitioner: Literal["murmur2", "crc32", "as_is"] = "murmur2"
    delivery: Literal["auto", "at_least_once", "exactly_once"] = "auto"
    partitions: int = Field(4, ge=1, le=1000, description="of topics that alphawire creates")
    replication: int = Field(1, ge=1, le=10)
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    session_timeout: float = Field(
        10.0, ge=1.0, description="seconds without a heartbeat after which a worker is given up"
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
    http: bool = True
    http_host: str = "127.0.0.1"
    http_port: int = Field(6066, ge=0, le=65535)


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
    target: Literal["forward_return"] = "forward_return"
    horizon_bars: int = Field(5, ge=1)


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
    i_know_this_looks_ahead: bool = False

    @model_validator(mode="after")
    def _no_look_ahead(self) -> "Execution":
        if self.price == "this_close" and not self.i_know_this_looks_ahead:
            raise ValueError(
                "price this_close trades at a price that was not known yet;"
                " set i_know_this_looks_ahead: true to do it all the same"
            )
        return self


class Strategy(Section):
    """One pipeline: features, model, signal, universe."""

    interval: Interval
    universe: list[str] | Literal["*"] = "*"
    features: list[PluginUse] = Field(min_length=1)
    model: ModelUse | None = None
    prediction: str | None = Field(None, description="use this feature column as the prediction")
    training: Training = Training()
    signal: PluginUse
    execution: Execution = Execution()
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
        if isinstance(self.universe, list) and len(set(self.universe)) != len(self.universe):
            raise ValueError("the universe names a symbol twice")
        return self


class Config(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(env_prefix="ALPHAWIRE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    kafka: Kafka = Kafka()
    worker: Worker = Worker()
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

    def strategy(self, name: str) -> Strategy:
        if name not in self.strategies:
            known = ", ".join(sorted(self.strategies)) or "none"
            raise ConfigurationError(f"there is no strategy {name!r} in the configuration; there is: {known}")
        return self.strategies[name]


def load_config(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """The configuration in `path` (none: defaults and environment alone), with `overrides` (``{"kafka": {"bootstrap":
    …}}``) on top.
    """
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror or error}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            place = getattr(error, "problem_mark", None)
            raise ConfigurationError(f"{path}{f':{place.line + 1}' if place else ''}: not valid YAML") from None
        if not isinstance(data, dict):
            raise ConfigurationError(f"{path}: the file is not a mapping; it starts with `kafka:` or `strategies:`")
    try:
        config = Config(**data)
        # section by section: validating the whole again would let the environment win over the overrides
        for section, values in (overrides or {}).items():
            now = getattr(config, section)
            config = config.model_copy(update={section: type(now).model_validate(now.model_dump() | values)})
        return config
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path)) from None


def _explain(error: ValidationError, path: Path | None) -> str:
    source = str(path) if path else "configuration"
    lines = []
    for fault in error.errors(include_url=False, include_context=True):
        place = ".".join(str(part) for part in fault["loc"]) or "top level"
        lines.append(f"{source}: {place}: {fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)


def config_path(given: str | None) -> Path | None:
    """The file named on the command line, in ``ALPHAWIRE_CONFIG``, or ``alphawire.yaml`` here; none of them: None."""
    if given:
        return Path(given)
    if environment := os.environ.get("ALPHAWIRE_CONFIG"):
        return Path(environment)
    default = Path("alphawire.yaml")
    return default if default.exists() else None
