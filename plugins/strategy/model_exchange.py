"""A strategy otherwise than it is configured: with another model, or as it was applied once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from plugins.models.artifacts.manifest import MANIFEST, plain_name, read_manifest
from plugins.strategy.features import first_column
from plugins.strategy.identity import has_sources, without_sources
from plugins.strategy.ready import ReadyStrategy, held_for_an_interval, ready_strategy
from schemas.configuration import Config, PluginUse, Strategy
from schemas.errors import AlphawireError, ArtifactError
from schemas.wire import Applied, Model


def artifact_folder(strategy: Strategy, artifact: str, base: Path = Path()) -> Path:
    """The folder `artifact`, which lies beside the strategy's configured one.

    The name comes from the log, where anybody may have written it: it is never a path, and no link leads out.

    Raises
    ------
    ArtifactError
        The folder lies elsewhere, or the strategy has no model.
    """
    if strategy.model is None:
        raise ArtifactError("the strategy has no model; its prediction is a feature's column")
    shelf = (base / strategy.model.artifact).absolute().parent
    try:
        folder = shelf / plain_name(artifact)
        inside = folder.resolve().is_relative_to(shelf.resolve())
    except (ValueError, OSError, RuntimeError) as error:
        raise ArtifactError(f"{artifact!r} is no artifact's name: {error}") from None
    if not inside:
        raise ArtifactError(f"{folder}: a link that leads out of {shelf}; put the folder itself there")
    return folder


def with_artifact(
    ready: ReadyStrategy, strategy: Strategy, artifact: str, sha256: str, base: Path = Path()
) -> ReadyStrategy:
    """`ready` with the model that lies in the folder `artifact`, certified as at a start.

    Raises
    ------
    ArtifactError, ConfigurationError, PluginError
        The model cannot be used, its manifest has another SHA-256 than `sha256`, or the states cannot go on under it.
    """
    folder = artifact_folder(strategy, artifact, base)
    assert strategy.model is not None
    use = strategy.model.model_copy(update={"artifact": folder})
    other = ready_strategy(ready.name, strategy.model_copy(update={"model": use}), base)
    assert other.model_id is not None
    if other.model_id.sha256 != sha256:
        raise ArtifactError(f"{folder}: its SHA-256 is {other.model_id.sha256}, and {sha256} is wanted")
    if other.layout != ready.layout:
        raise ArtifactError(
            f"{folder}: the states cannot go on under this model (the signal remembers predictions, or the model keeps"
            " another state); change the configuration and start the workers again"
        )
    return replace(other, artifact=artifact)


def find_model(
    ready: ReadyStrategy, strategy: Strategy, model: Model, artifact: str | None, base: Path = Path()
) -> ReadyStrategy:
    """`ready` with the model that was in force: the configured one, else that in the folder that the request named."""
    if ready.model_id == model:
        return ready
    if artifact is None:
        raise ArtifactError(f"the configured model was {model.sha256} then, and is another one now")
    return with_artifact(ready, strategy, artifact, model.sha256, base)


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


def mended(entry: Applied, ready: ReadyStrategy) -> ReadyStrategy | None:
    """`ready` as the one that `entry` describes, where they differ in nothing but the code of plugins, under the same
    versions: what failed under the old code can then go on.
    """
    if without_sources(entry.config) != without_sources(ready.config):
        return None
    return replace(ready, config=entry.config, config_hash=entry.config_hash)


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
