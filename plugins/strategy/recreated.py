"""A strategy as it was applied once, made again of what the log says of it."""

from pathlib import Path
from typing import Any

from plugins.models.artifacts.manifest import MANIFEST, read_manifest
from plugins.strategy.features import first_column
from plugins.strategy.identity import has_sources
from plugins.strategy.model_exchange import artifact_folder
from plugins.strategy.ready import ReadyStrategy, held_for_an_interval, ready_strategy
from schemas.configuration import Config, PluginUse, Strategy
from schemas.errors import AlphawireError, ArtifactError
from schemas.wire import Applied


def recreated(entry: Applied, config: Config) -> ReadyStrategy | None:
    """The strategy that `entry` describes, when its plugins and its model are here in the same versions, else None."""
    given = config.strategy(entry.strategy)
    resolved = ("features", "model", "signal", "sessions")
    plain = {name: value for name, value in entry.config.items() if name not in resolved}
    if isinstance(plain["universe"], dict) and "history" in plain["universe"]:  # its digest stands for the file
        plain["universe"] = given.universe
    plain["features"] = [_use(feature) for feature in entry.config["features"]]
    plain["signal"] = {"key": entry.config["signal"]["key"], "params": entry.config["signal"]["params"]}
    try:
        if entry.config["model"] is not None:
            if given.model is None:
                return None
            applied = entry.config["model"]
            plain["model"] = given.model.model_dump() | {"key": applied["key"], "columns": applied.get("columns")}
            plain["model"]["artifact"] = _artifact(given, entry)
        strategy = ready_strategy(entry.strategy, Strategy.model_validate(plain), Path())
    except (AlphawireError, ValueError):
        return None
    if "sessions" not in entry.config and strategy.validity.calendar is not None:
        strategy = held_for_an_interval(strategy)
    strategy = strategy.spelled_as(entry.config)
    strategy = strategy if has_sources(entry.config) else strategy.without_sources
    return strategy if strategy.config_hash == entry.config_hash else None


def _artifact(given: Strategy, entry: Applied) -> Path:
    """The folder that the wish named, else the configured one, else one beside it that holds the model now."""
    assert given.model is not None
    if entry.artifact is not None:
        return artifact_folder(given, entry.artifact)
    configured = given.model.artifact
    beside = (path.parent for path in sorted(configured.absolute().parent.glob(f"*/{MANIFEST}")))
    wanted = entry.model.sha256 if entry.model else ""
    return next((folder for folder in (configured, *beside) if _sha256(folder) == wanted), configured)


def _sha256(folder: Path) -> str | None:
    try:
        return read_manifest(folder).sha256
    except ArtifactError:
        return None


def _use(feature: dict[str, Any]) -> dict[str, Any]:
    """A feature as the configuration names it: its first column tells the alias."""
    use = {"key": feature["key"], "params": feature["params"]}
    column, own = feature["columns"][0], first_column(PluginUse.model_validate(use))
    return use | {"alias": None if column == own else column.removesuffix(f".{own}")}
