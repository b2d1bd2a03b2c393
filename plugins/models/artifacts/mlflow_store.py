"""Model artifacts in MLflow: the same folder, as artifacts of a run."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugins.models.artifacts.loading import check_files
from plugins.models.artifacts.manifest import MANIFEST, Manifest, read_manifest
from plugins.models.artifacts.saving import put_in_place, refuse_other_files
from schemas.errors import ArtifactError, ConfigurationError

EXPERIMENT = "alphawire"
FOLDER = "artifact"
"""Where in a run's artifacts the folder's files are."""
STRATEGY, SHA256 = "alphawire.strategy", "alphawire.sha256"
"""Tags of a run."""


def push(strategy: str, folder: Path, experiment: str = EXPERIMENT) -> str:
    """Keeps the artifact in `folder` in a new run of `experiment`; the run's id. MLflow's own settings say where
    (``MLFLOW_TRACKING_URI``).

    Raises `ArtifactError` when the artifact is damaged, `ConfigurationError` when MLflow is missing or refuses.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    tags = {STRATEGY: strategy, SHA256: manifest.sha256, "alphawire.model": manifest.key}
    with _mlflow() as client:
        existing = client.get_experiment_by_name(experiment)
        identifier = existing.experiment_id if existing else client.create_experiment(experiment)
        run = client.create_run(identifier, tags=tags, run_name=f"{strategy} {manifest.sha256[:12]}")
        for name in (*manifest.files, MANIFEST):
            client.log_artifact(run.info.run_id, str(folder / name), FOLDER)
        client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def pull(strategy: str, folder: Path, run: str | None = None, experiment: str = EXPERIMENT) -> tuple[str, Manifest]:
    """Puts the artifact of `run` (none: of the strategy's newest) in the place of that in `folder`, once its hashes are
    proved; the run's id and the manifest.

    Raises `ArtifactError` when it is damaged or is not what was pushed; what is in `folder` stays then.
    """
    folder = folder.resolve()
    refuse_other_files(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside, _mlflow() as client:
            stored = client.get_run(run) if run else _newest(client, strategy, experiment)
            came = Path(client.download_artifacts(stored.info.run_id, FOLDER, aside))
            manifest = read_manifest(came)
            check_files(came, manifest)
            if manifest.sha256 != stored.data.tags.get(SHA256):
                raise ArtifactError(
                    f"run {stored.info.run_id}: its artifact is not the one that was pushed: the manifest's SHA-256 "
                    "differs from the run's tag; push it again"
                )
            put_in_place(came, folder, manifest)
    except OSError as error:
        raise ArtifactError(f"the artifact {folder} cannot be written: {error.strerror or error}") from None
    return str(stored.info.run_id), manifest


def _newest(client: Any, strategy: str, experiment: str) -> Any:
    existing = client.get_experiment_by_name(experiment)
    query = f"tags.`{STRATEGY}` = '{strategy}' and attributes.status = 'FINISHED'"
    order = ["attributes.start_time DESC"]
    runs = client.search_runs([existing.experiment_id], query, order_by=order, max_results=1) if existing else []
    if not runs:
        raise ConfigurationError(
            f"MLflow's experiment {experiment} holds no artifact of {strategy}; `alphawire models push` puts one there"
        )
    return runs[0]


@contextlib.contextmanager
def _mlflow() -> Iterator[Any]:
    """MLflow's client; what it raises becomes one line."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # it is drawn where no terminal is, too
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it tells of the tables that it makes
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise ConfigurationError("this needs MLflow: pip install 'alphawire[mlflow]'") from None
    try:
        yield MlflowClient()
    except ImportError as error:
        raise ConfigurationError(f"MLflow needs {error.name} for its store: pip install 'alphawire[mlflow]'") from None
    except MlflowException as error:
        lacks = [name for name in ("sqlalchemy", "alembic") if importlib.util.find_spec(name) is None]
        if lacks and "unsupported uri" in str(error).lower():  # it calls a database unsupported without them
            raise ConfigurationError(
                f"MLflow needs {' and '.join(lacks)} for its store: pip install 'alphawire[mlflow]'"
            ) from None
        raise ConfigurationError(f"MLflow: {' '.join(str(error).split())}") from None
