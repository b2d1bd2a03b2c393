"""Another model in the place of the configured one, under a strategy whose states go on."""

from dataclasses import replace
from pathlib import Path

from plugins.models.artifacts.manifest import plain_name
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.configuration import Strategy
from schemas.errors import ArtifactError
from schemas.wire import Model


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
