"""The command group ``alphawire models``: what is done with model artifacts after their training."""

from pathlib import Path

import click

from alphawire.commands.control.compare_models import compare
from alphawire.commands.control.control_requests import use
from alphawire.commands.control.list_models import list_models
from alphawire.commands.options import config_option
from schemas.configuration import Config
from schemas.errors import ConfigurationError


@click.group("models")
def models() -> None:
    """Model artifacts after their training: have the workers use one, compare it with a shadow, keep them in MLflow."""


EXPERIMENT = click.option("--experiment", default="alphawire", show_default=True, help="MLflow's experiment")


@models.command("push")
@click.argument("strategy")
@EXPERIMENT
@config_option
def push(strategy: str, experiment: str, config: Config) -> None:
    """Keeps STRATEGY's artifact in a new MLflow run, where $MLFLOW_TRACKING_URI says."""
    from plugins.models.artifacts.mlflow_store import push

    folder = _artifact(config, strategy)
    click.echo(f"{folder} is in run {push(strategy, folder, experiment)} of MLflow's experiment {experiment}")


@models.command("pull")
@click.argument("strategy")
@click.option("--run", metavar="ID", help="the run that holds it (default: the strategy's newest)")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="over the configuration's model.artifact"
)
@EXPERIMENT
@config_option
def pull(strategy: str, run: str | None, out: Path | None, experiment: str, config: Config) -> None:
    """Takes STRATEGY's artifact from an MLflow run; what is there stays until the new one is proved whole."""
    from plugins.models.artifacts.mlflow_store import pull

    folder = out or _artifact(config, strategy)
    run_id, manifest = pull(strategy, folder, run, experiment)
    click.echo(f"{folder} is {manifest.sha256} ({manifest.key}) from run {run_id}")


def _artifact(config: Config, strategy: str) -> Path:
    model = config.strategy(strategy).model
    if model is None:
        raise ConfigurationError(f"strategies.{strategy}: it has no model, so there is no artifact")
    return model.artifact


models.add_command(use)
models.add_command(list_models)
models.add_command(compare)

command = models
