"""Control requests from the command line: another model, a pause, the end of a pause."""

import asyncio
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from alphawire.commands.options import TIME, config_option, json_option, plugins_option, print_json
from schemas.configuration import Config, Strategy
from schemas.errors import AlphawireError, ConfigurationError
from schemas.wire import Pause, Resume, Use, Wish

if TYPE_CHECKING:
    from schemas.wire import Answer

F = TypeVar("F", bound=Callable[..., Any])


def request_options(command: F) -> F:
    """``--from``, ``--wait`` and what every command has."""
    for option in (
        json_option,
        plugins_option,
        config_option,
        click.option(
            "--wait", type=click.FloatRange(0, 3600), default=10.0, show_default=True, metavar="SECONDS",
            help="how long to wait for the workers' answers",
        ),
        click.option("--from", "from_time", type=TIME, help="from the first bar that closes then or later"),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("use")
@click.argument("strategy")
@click.argument("artifact", required=False)
@click.option("--back", is_flag=True, help="the configured model again")
@click.option("--sha256", help="of the artifact's manifest, where the artifact is not on this machine")
@request_options
def use(
    strategy: str, artifact: str | None, back: bool, sha256: str | None,
    config: Config, from_time: int | None, wait: float, as_json: bool,
) -> None:  # fmt: skip
    """Have all workers exchange STRATEGY's model for that in the folder ARTIFACT, which lies beside the configured one,
    without a restart.
    """
    if back == (artifact is not None):
        raise click.UsageError("name the artifact, or say --back")
    settings = config.strategy(strategy)
    if settings.model is None:
        raise ConfigurationError(f"strategy {strategy} has no model; its prediction is a feature's column")
    if artifact is not None:
        sha256 = _checked(strategy, settings, artifact, sha256)
    _send(config, Use(str(uuid.uuid4()), strategy, artifact, sha256 if artifact else None, from_time), wait, as_json)


@click.command("pause")
@click.argument("strategy")
@request_options
def pause(strategy: str, config: Config, from_time: int | None, wait: float, as_json: bool) -> None:
    """Have all workers publish nothing for STRATEGY, while its states go on."""
    config.strategy(strategy)
    _send(config, Pause(str(uuid.uuid4()), strategy, from_time), wait, as_json)


@click.command("resume")
@click.argument("strategy")
@request_options
def resume(strategy: str, config: Config, from_time: int | None, wait: float, as_json: bool) -> None:
    """Have all workers publish STRATEGY's signals again, from the next bar on."""
    config.strategy(strategy)
    _send(config, Resume(str(uuid.uuid4()), strategy, from_time), wait, as_json)


def _checked(strategy: str, settings: Strategy, artifact: str, sha256: str | None) -> str:
    """The SHA-256 of the artifact, which is certified as the workers will do, where it is here."""
    from plugins.models.artifacts.manifest import read_manifest
    from plugins.strategy.model_exchange import artifact_folder, with_artifact
    from plugins.strategy.ready import ready_strategy

    folder = artifact_folder(settings, artifact)
    if not folder.exists() and sha256:
        return sha256
    if not folder.exists():
        raise ConfigurationError(f"there is no {folder} here; where only the workers have it, give its --sha256")
    wanted = sha256 or read_manifest(folder).sha256
    with_artifact(ready_strategy(strategy, settings, Path()), settings, artifact, wanted)
    return wanted


def _send(config: Config, request: Wish, wait: float, as_json: bool) -> None:
    """Exit code 1 when a worker refuses."""
    from schemas.errors import BadRecord
    from schemas.wire import decode_control, encode

    try:
        decode_control(encode(request))
    except BadRecord as bad:
        raise ConfigurationError(f"not a valid control request: {bad}") from None
    received = asyncio.run(_answers(config, request, wait))
    refused = [answer for answer in received if not answer.accepted]
    if as_json:
        answers = [{"worker": a.worker, "accepted": a.accepted, "reason": a.reason} for a in received]
        print_json({"wish": request.id, "answers": answers})
    else:
        for answer in received:
            click.echo(f"{answer.worker}: {'accepted' if answer.accepted else f'refused: {answer.reason}'}")
        if not received:
            click.echo("sent; no worker has answered" if wait else "sent")
    sys.exit(1 if refused else 0)


async def _answers(config: Config, request: Wish, wait: float) -> "list[Answer]":
    from streams.recovery.inspection import running
    from streams.requests.control_topic import answers, send

    try:
        workers = max(1, await running(config.kafka)) if wait else 0
    except AlphawireError:
        workers = 1
    offset = await send(config.kafka, request)
    return await answers(config.kafka, request, offset, workers, wait)
