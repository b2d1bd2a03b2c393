"""The log that ``--source`` names: the topics of the broker, or an archive of them."""

from pathlib import Path

from backtest.sources.files import Files
from schemas.configuration import Config
from schemas.errors import ConfigurationError
from streams.archive.parquet_log import ParquetLog, is_archive
from streams.kafka.log import KafkaLog, Log


def find_log(config: Config, source: str | Files) -> Log | None:
    """``kafka`` or the source of its bars, or the folder of an archive; None for anything else, which is a file."""
    if isinstance(source, Files):
        return None
    declared = config.sources.get(source)
    if declared is not None and declared.topic is None:
        return None
    if source == "kafka" or declared is not None:
        return KafkaLog(config.kafka)
    return ParquetLog(Path(source)) if is_archive(source) else None


def require_log(config: Config, source: str) -> Log:
    """As `find_log`; `ConfigurationError` for what is no log."""
    log = find_log(config, source)
    if log is None:
        raise ConfigurationError(f"{source} is no archive of topics; give kafka, or what `alphawire archive` wrote")
    return log
