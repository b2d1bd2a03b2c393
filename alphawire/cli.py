"""The command line: ``alphawire COMMAND``.

Exit codes: 0 done, 1 it fell short (a difference was found, say), 2 wrong use, configuration or surroundings; a
worker that ends itself has codes of its own (`streams.process.exits`).
"""

import atexit
import gc
import importlib
import runpy
import sys
import threading
from pathlib import Path
from typing import Any

import click

from alphawire import __version__
from alphawire.context import FILE
from alphawire.interruption import close_output, end_interrupted, leave_threads, stop_on_sigterm

COMMANDS = {
    "plugins": ("development", "what plugins there are, with parameters, cost and availability"),
    "check": ("development", "the conformance kit: does a plugin keep what it promises?"),
    "broker": ("development", "a broker for development, until ctrl-C"),
    "topics": ("live", "create or list the topics"),
    "produce": ("live", "files to topics: bars, and news"),
    "inspect": ("research", "what would be read of files of bars, before anything is sent"),
    "resample": ("research", "bars of a longer interval out of files or a topic"),
    "train": ("research", "train a strategy's model: a versioned artifact with its manifest"),
    "features": ("research", "the rows that a training sees, as a Parquet file"),
    "models": ("control", "model artifacts after their training: have the workers use one, keep them in MLflow"),
    "pause": ("control", "publish nothing for a strategy, while its states go on"),
    "resume": ("control", "publish a strategy's signals again"),
    "worker": ("live", "the live service; run several to share the partitions"),
    "scorer": ("live", "articles to scores; run several to share the partitions of news"),
    "bars": ("live", "trades to bars; run several to share the partitions of trades"),
    "gateway": ("live", "signals over HTTP: queries, and a stream that is gone on with"),
    "state": ("control", "the states on the log, and how to have them folded anew"),
    "replay": ("research", "signals recomputed from history"),
    "dead-letters": ("control", "what could not be used: list it, show it, mend it and put it back once"),
    "verify": ("research", "live signals against a replay, byte for byte"),
    "explain": ("research", "where one signal came from, recomputed from its inputs"),
    "archive": ("research", "topics to Parquet, day by day; replayed from there with the same bytes"),
    "backtest": ("research", "a replay through backtest engines: trades, equity, metrics, report"),
    "sweep": ("research", "a grid of parameters through an engine, on all cores or a cluster"),
    "schemas": ("development", "JSON Schemas of the messages, for consumers in other languages"),
    "demo": ("development", "all of it on real bars in about a minute"),
}
"""Command → its room below `alphawire.commands`, and what it does."""
PACKAGES = ("schemas", "plugins", "streams", "backtest")
"""What the commands import; nothing here imports them before `hidden_package` has looked."""

SERVICES = {"worker", "scorer", "bars", "gateway"}
"""Commands that run until SIGTERM."""


class Commands(click.Group):
    """Commands by name, each `command` of a module `alphawire.commands.ROOM.NAME` (with _ for -); imported when used,
    so that ``--help`` is quick.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = f"alphawire.commands.{COMMANDS[name][0]}.{name.replace('-', '_')}"
        command: click.Command = importlib.import_module(module).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """An error in a strategy names the file that the strategy is in."""
        from schemas.errors import ConfigurationError

        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            if (file := ctx.meta.get(FILE)) is not None and str(error).startswith("strategies."):
                raise ConfigurationError(f"{file}: {error}") from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="alphawire")
def cli() -> None:
    """Streaming trading signals on Kafka: what you backtest is what runs live, and every signal can prove it."""


def hidden_package() -> str | None:
    """One line, where another project's package of the same name hides one of ours; None: there is none."""
    root = Path(__file__).parents[1]
    # By its path: by its name it could be another project's.
    installation = runpy.run_path(str(root / "schemas" / "installation.py"))
    fault: str | None = installation["hidden_package"](str(root), PACKAGES)
    return fault


def main() -> None:
    """Entry point: a user's mistake is one clear line on standard error and exit code 2, never a traceback."""
    before = set(threading.enumerate())
    try:
        _main()
    except SystemExit as end:
        atexit.register(close_output)  # the last that is registered runs first
        leave_threads(before, end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def _main() -> None:
    if set(sys.argv[1:2]) & SERVICES:
        stop_on_sigterm()
        # What is imported and loaded stays; to look through it for garbage again and again is a fifth of the start.
        gc.disable()
    if fault := hidden_package():
        click.echo(f"alphawire: {fault}", err=True)
        sys.exit(2)
    from schemas.errors import AlphawireError  # not before the check

    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        end_interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        end_interrupted()
    except AlphawireError as error:
        click.echo(f"alphawire: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except OSError as error:
        # a disk that is full, a file that may not be read: the user's to mend, not a fault of ours
        click.echo(f"alphawire: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
