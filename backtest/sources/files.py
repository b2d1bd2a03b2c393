"""Files of bars that a command names: by their paths, or as a source of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO
from schemas.configuration import Config, Source
from schemas.configuration.presets import preset_files
from schemas.errors import ConfigurationError
from streams.archive.parquet_log import is_archive


@dataclass(frozen=True)
class Files:
    """Files, and what in them is what."""

    paths: tuple[str, ...]
    source: Source
    name: str

    def __str__(self) -> str:
        return self.name


def files_of(config: Config, given: str | Files, form: str | None = None, strategy: str | None = None) -> str | Files:
    """What ``--source`` names: a source of the configuration, files as ``--format`` says, or, as a text, a log.

    Raises
    ------
    ConfigurationError
        For a source without files, and a format that is neither a source nor a preset.
    """
    if isinstance(given, Files):
        return given
    if given in config.sources and (form is None or form == given):
        source = config.sources[given]
        if source.topic is not None:
            return "kafka"
        if not source.paths:
            raise ConfigurationError(f"sources.{given} has no path: give the files, and --format {given}")
        return Files(source.paths, _in_market(config, source, strategy), given)
    if form is None and (given == "kafka" or is_archive(given)):
        return given
    return Files((given,), _in_market(config, format_of(config, form), strategy), Path(given).name)


def named_files(config: Config, files: Sequence[str], source: str | None, form: str | None) -> Files:
    """What a command names either as files or as a source; `ConfigurationError` for both or none."""
    if bool(files) == bool(source):
        raise ConfigurationError("name files, or --source NAME of the configuration")
    if files:
        return Files(tuple(files), format_of(config, form), Path(files[0]).name)
    given = files_of(config, source or "", form)
    if isinstance(given, str) and source in config.sources:
        raise ConfigurationError(f"sources.{source} is of a topic's records, not of files")
    if isinstance(given, str) or source not in config.sources:
        raise ConfigurationError(
            f"there is no source {source} in the configuration; there is: {', '.join(config.sources)}"
        )
    return given


def format_of(config: Config, form: str | None) -> Source:
    """What ``--format`` names: a source of the configuration, whatever its files are, or a preset."""
    if form is None:
        return Source()
    if form in config.sources and config.sources[form].topic is not None:
        raise ConfigurationError(f"sources.{form} is of a topic's records, not of files")
    if form in config.sources:
        return config.sources[form]
    if form not in preset_files():
        declared = ", ".join(config.sources) or "none"
        raise ConfigurationError(
            f"--format {form} is neither a source of the configuration ({declared}) nor a preset"
            f" ({', '.join(preset_files())})"
        )
    return Source(preset=form)


def _in_market(config: Config, source: Source, strategy: str | None) -> Source:
    """With the calendar that the strategy declares: its clock may be another than that of the files."""
    calendar = config.strategy(strategy).execution.calendar if strategy else AUTO
    if source.market is not None or calendar in (AUTO, ALWAYS_OPEN):
        return source
    return source.model_copy(update={"market": calendar})
