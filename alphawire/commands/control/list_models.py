"""``alphawire models list``."""

import asyncio
from typing import Any

import click

from alphawire.commands.options import config_option, json_option, plugins_option, print_json
from schemas.configuration import Config, Kafka, Strategy
from schemas.errors import AlphawireError, ArtifactError, ConfigurationError


@click.command("list")
@click.argument("strategy")
@config_option
@plugins_option
@json_option
def list_models(strategy: str, config: Config, as_json: bool) -> None:
    """The artifacts that STRATEGY could use: those that lie beside its configured one (*) on this machine; its shadow's
    is marked ~. What is in force on which partitions, the topic `control` says.
    """
    artifacts = _artifacts(config.strategy(strategy), strategy)
    models = _in_force(config.kafka, strategy)
    for one in artifacts:
        one["in_force"] = None if models is None else _partitions(models, one["sha256"])
    if as_json:
        print_json(artifacts)
    else:
        for one in artifacts:
            click.echo(_line(one, models))
    _show_absent(models or {}, {one["sha256"] for one in artifacts})


def _artifacts(settings: Strategy, strategy: str) -> list[dict[str, Any]]:
    from plugins.models.artifacts.manifest import read_manifest

    if settings.model is None:
        raise ConfigurationError(f"strategy {strategy} has no model; its prediction is a feature's column")
    configured = settings.model.artifact.absolute()
    shadow = settings.shadow.artifact.absolute() if settings.shadow else None
    artifacts = []
    for manifest in sorted(configured.parent.glob("*/manifest.json")):
        one: dict[str, Any] = {"artifact": manifest.parent.name, "configured": manifest.parent == configured}
        one["shadow"] = manifest.parent == shadow
        try:
            what = read_manifest(manifest.parent)
            wrong = what.key != settings.model.key
            one |= {"sha256": what.sha256, "key": what.key, "fault": "another model's" if wrong else None}
        except ArtifactError as error:
            one |= {"sha256": None, "key": None, "fault": str(error)}
        artifacts.append(one)
    return artifacts


def _in_force(kafka: Kafka, strategy: str) -> dict[int, str | None] | None:
    """The SHA-256 of the model on each partition that has one in force; None, and a line that says why, where the log
    cannot be read.
    """
    from streams.recovery.inspection import models_in_force

    try:
        return asyncio.run(models_in_force(kafka, strategy))
    except AlphawireError as error:
        click.echo(f"what is in force is not known: {error}", err=True)
        return None


def _partitions(models: dict[int, str | None], sha256: str | None) -> list[int]:
    return [number for number, model in models.items() if model is not None and model == sha256]


def _line(one: dict[str, Any], models: dict[int, str | None] | None) -> str:
    mark = "*" if one["configured"] else "~" if one["shadow"] else " "
    words = [f"{mark} {one['artifact']:<24} {one['sha256'] or '':<12.12}", one["key"], one["fault"]]
    if one["in_force"]:
        words.append(f"in force on {_named(one['in_force'], models or {})}")
    return " ".join(word for word in words if word)


def _named(some: list[int], models: dict[int, str | None]) -> str:
    if len(some) == len(models):
        return "all partitions that have a model"
    return f"partition{'s' if len(some) > 1 else ''} {', '.join(map(str, some))}"


def _show_absent(models: dict[int, str | None], here: set[str | None]) -> None:
    """Models in force of which this machine has no artifact, on standard error."""
    for model in sorted({model for model in models.values() if model is not None} - here):
        where = _named(_partitions(models, model), models)
        click.echo(f"in force on {where}: the model {model[:12]}, which is not here", err=True)
