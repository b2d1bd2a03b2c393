"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from schemas.config import Config, config_path, load_config

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """``-c FILE`` and ``--bootstrap HOST:PORT``; the command gets one argument `config`."""

    def load(ctx: click.Context, _param: click.Parameter, value: str | None) -> Config:
        bootstrap = ctx.params.pop("bootstrap", None)
        return load_config(config_path(value), {"kafka": {"bootstrap": bootstrap}} if bootstrap else None)

    command = click.option(
        "-c",
        "--config",
        "config",
        metavar="FILE",
        callback=load,
        help="configuration (default: $ALPHAWIRE_CONFIG, else alphawire.yaml here)",
    )(command)
    return click.option(
        "--bootstrap", metavar="HOST:PORT", is_eager=True, help="Kafka to use, over the configuration's"
    )(command)


def plugins_option(command: F) -> F:
    """``--plugins PATH``, any number of times: the plugins there are registered before the command runs."""

    def register(_ctx: click.Context, _param: click.Parameter, value: tuple[Path, ...]) -> None:
        from plugins.discovery import discover

        discover(value)

    return click.option(
        "--plugins", "_plugins", multiple=True, type=click.Path(path_type=Path), expose_value=False, is_eager=True,
        callback=register, metavar="PATH", help="a plugin file or a folder of them that is not installed",
    )(command)  # fmt: skip


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="for programs: JSON on standard output")(command)
