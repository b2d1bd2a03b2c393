"""The command line: ``alphawire COMMAND``.

Exit codes: 0 done, 1 it fell short (a difference was found, say), 2 wrong use, configuration or surroundings; a
worker that ends itself has codes of its own (`streams.exits`).
"""

import importlib
import sys
from typing import Any

import click

from alphawire import __version__
from alphawire.context import FILE
from alphawire.interruption import end_interrupted
from schemas.errors import AlphawireError, ConfigurationError

COMMANDS = {
    "plugins": "what plugins there are, with parameters, cost and availability",
    "check": "the conformance kit: does a plugin keep what it promises?",
    "broker": "a broker for development, until ctrl-C",
    "topics": "create or list the topics",
    "produce": "CSV or Parquet files to topics",
    "train": "train a strategy's model: a versioned artifact with its manifest",
    "models": "model artifacts after their training: have the workers use one, keep them in MLflow",
    "pause": "publish nothing for a strategy, while its states go on",
    "resume": "publish a strategy's signals again",
    "worker": "the live service; run several to share the partitions",
    "scorer": "articles to scores; run several to share the partitions of news",
    "state": "the states on the log, and how to have them folded anew",
    "replay": "signals recomputed from history",
    "dead-letters": "what could not be used: list it, show it, mend it and put it back once",
    "verify": "live signals against a replay, byte for byte",
    "explain": "where one signal came from, recomputed from its inputs",
    "archive": "topics to Parquet, day by day; replayed from there with the same bytes",
    "backtest": "a replay through backtest engines: trades, equity, metrics, report",
    "sweep": "a grid of parameters through an engine, on all cores or a cluster",
    "schemas": "JSON Schemas of the messages, for consumers in other languages",
    "demo": "all of it on real bars in about a minute",
}


class Commands(click.Group):
    """Commands by name, each in `alphawire.commands.NAME` (with _ for -) as `command`; imported when used, so that
    ``--help`` is quick.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"alphawire.commands.{name.replace('-', '_')}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """What is wrong with a strategy is told with the file that it stands in."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            if (file := ctx.meta.get(FILE)) is not None and str(error).startswith("strategies."):
                raise ConfigurationError(f"{file}: {error}") from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="alphawire")
def cli() -> None:
    """Streaming trading signals on Kafka: what you backtest is what runs live, and every signal can prove it."""


def main() -> None:
    """Entry point: a user's mistake is one clear line on standard error and exit code 2, never a traceback."""
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
