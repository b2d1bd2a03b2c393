"""Options that several commands share."""

import contextlib
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from alphawire.context import FILE, FOLDER, OUTPUT
from schemas.configuration import Config, config_path, load_config
from schemas.configuration.loading import plugin_paths

F = TypeVar("F", bound=Callable[..., Any])
PLUGINS = "_plugins"
"""Of a command that runs plugins: those of the configuration are registered for it, too."""


class Time(click.ParamType):
    """ISO 8601 (UTC unless it says otherwise), a date, or milliseconds since the epoch; the value is milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value.isdigit() and len(value) > 8:
            return int(value)
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time; write 2013-10-04, 2013-10-04T14:30:00Z or milliseconds since the epoch",
                param,
                ctx,
            )
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


TIME = Time()
KAFKA = ("bootstrap", "prefix", "partitions")
"""Options for the configuration's section `kafka`; each is eager, so known when the configuration is loaded."""


def config_folder() -> Path:
    """Where the configuration of the running command lies: the ledger of trials is beside it."""
    folder: Path = click.get_current_context().meta[FOLDER]
    return folder


def config_option(command: F) -> F:
    """``-c FILE`` and ``--bootstrap HOST:PORT``; the command gets one argument `config`."""

    def load(ctx: click.Context, _param: click.Parameter, value: str | None) -> Config:
        given = {name: ctx.params.pop(name, None) for name in KAFKA}
        kafka = {name: setting for name, setting in given.items() if setting is not None}
        path = config_path(value)
        ctx.meta[FOLDER], ctx.meta[FILE] = (path.parent, path) if path else (Path(), None)
        config = load_config(path, {"kafka": kafka} if kafka else None)
        if config.plugins and any(param.name == PLUGINS for param in ctx.command.params):
            _register(plugin_paths(config, path))
        return config

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


def _register(paths: Iterable[Path]) -> None:
    from plugins.base.loading.discovery import discover

    discover(paths)


def prefix_option(command: F) -> F:
    """``--prefix TEXT``, beside `config_option` and below it."""
    return click.option("--prefix", is_eager=True, help="prefix of the topics' names, over the configuration's")(
        command
    )


def plugins_option(command: F) -> F:
    """``--plugins PATH``, any number of times: the plugins there are registered before the command runs."""

    def register(_ctx: click.Context, _param: click.Parameter, value: tuple[Path, ...]) -> None:
        _register(value)

    return click.option(
        "--plugins", PLUGINS, multiple=True, type=click.Path(path_type=Path), expose_value=False, is_eager=True,
        callback=register, metavar="PATH", help="a plugin file or a folder of them that is not installed",
    )(command)  # fmt: skip


def json_option(command: F) -> F:
    """``--json``: standard output takes what `print_json` writes, and nothing else; the command gets `as_json`."""

    @functools.wraps(command)
    def run(*arguments: Any, as_json: bool, **values: Any) -> Any:
        with only_json() if as_json else contextlib.nullcontext():
            return command(*arguments, as_json=as_json, **values)

    return click.option("--json", "as_json", is_flag=True, help="for programs: JSON on standard output")(cast(F, run))


@contextlib.contextmanager
def only_json() -> Iterator[None]:
    """While the command works, what plugins and libraries write to standard output goes to standard error."""
    from plugins.base.plugin_errors import output_to_errors

    meta = click.get_current_context().meta
    if OUTPUT in meta:
        yield
        return
    with output_to_errors() as meta[OUTPUT]:
        yield


def print_json(document: Any, indent: int | None = None) -> None:
    """The answer of a command with ``--json``; what is not finite is not known: null."""
    output = click.get_current_context().meta[OUTPUT]
    if output is not None:
        click.echo(json.dumps(_finite(document), indent=indent, allow_nan=False), file=output)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def news_option(command: F) -> F:
    """``--news FILE``: scores for bars of a file; the command gets `news`."""
    return click.option(
        "--news", metavar="FILE", help="scores of news, for bars of a file: CSV, Parquet or JSON lines (docs/news.md)"
    )(command)


def source_option(command: F) -> F:
    """``--source kafka|DIR|NAME|FILE`` and ``--format NAME``; the command gets `source` and `form`, for
    `backtest.sources.files.files_of`.
    """
    command = format_option(command)
    return click.option(
        "--source", default="kafka", show_default=True, metavar="kafka|DIR|NAME|FILE",
        help="the bars topic, the folder of an archive, a source of the configuration, or a file of bars",
    )(command)  # fmt: skip


def format_option(command: F) -> F:
    """``--format NAME``: what the columns of files mean; the command gets `form`."""
    return click.option(
        "--format", "form", metavar="NAME", help="what is what in the files: a preset, or a source of the configuration"
    )(command)


def topics_option(command: F) -> F:
    """``--source kafka|DIR``: where the topics are; the command gets `source`, for
    `backtest.sources.log.require_log`.
    """
    return click.option(
        "--source", default="kafka", show_default=True, metavar="kafka|DIR",
        help="the broker's topics, or the folder of an archive",
    )(command)  # fmt: skip


def offsets_option(command: F) -> F:
    """``--offsets PARTITION:FIRST-STOP,…``; the command gets `offsets`, for `backtest.sources.offsets`, or None."""

    def parsed(_ctx: click.Context, _param: click.Parameter, value: str | None) -> dict[int, range] | None:
        from backtest.sources.offsets import parse_offsets

        return None if value is None else parse_offsets(value)

    return click.option(
        "--offsets", callback=parsed, metavar="PARTITION:FIRST-STOP,...",
        help="only bars of these partitions, at offsets from FIRST up to, not including, STOP; 0:100- has no end",
    )(command)  # fmt: skip
