"""The configuration file, validated before anything starts."""

from schemas.configuration.config import Config
from schemas.configuration.features import FeatureSettings
from schemas.configuration.fields import BarInterval, Interval
from schemas.configuration.kafka_and_worker import Kafka, Worker
from schemas.configuration.loading import config_path, load_config
from schemas.configuration.news import News, NewsUse
from schemas.configuration.sources import Source
from schemas.configuration.strategy import Execution, ModelUse, PluginUse, Strategy, Training
from schemas.configuration.trades import Trades

__all__ = [
    "BarInterval",
    "Config",
    "Execution",
    "FeatureSettings",
    "Interval",
    "Kafka",
    "ModelUse",
    "News",
    "NewsUse",
    "PluginUse",
    "Source",
    "Strategy",
    "Trades",
    "Training",
    "Worker",
    "config_path",
    "load_config",
]
