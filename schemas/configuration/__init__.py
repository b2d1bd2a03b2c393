"""The configuration file, validated before anything starts."""

from schemas.configuration.settings import (
    Config,
    Execution,
    Interval,
    Kafka,
    ModelUse,
    News,
    NewsUse,
    PluginUse,
    Strategy,
    Training,
    Worker,
    config_path,
    load_config,
)

__all__ = [
    "Config",
    "Execution",
    "Interval",
    "Kafka",
    "ModelUse",
    "News",
    "NewsUse",
    "PluginUse",
    "Strategy",
    "Training",
    "Worker",
    "config_path",
    "load_config",
]
