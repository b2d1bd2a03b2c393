"""Parses command lines of alphawire as click would, without running anything."""

import click

from alphawire.cli import cli


def parse(words: list[str], bare: bool = False) -> str:
    """The command's full name (``topics create``); `click.UsageError` for what click would refuse.

    `bare`: its name alone will do, without the arguments that it needs.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="alphawire")
    names = []
    while isinstance(command, click.Group):
        words = command.make_parser(context).parse_args(args=list(words))[1] if command is not cli else words
        if not words and (bare or command.invoke_without_command):
            return " ".join(names)
        if not words:
            raise click.UsageError(f"{' '.join(names) or 'alphawire'} needs a command")
        name, found, words = command.resolve_command(context, list(words))
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command = found
        context = click.Context(command, info_name=name, parent=context)
        names.append(name or "")
    values, rest, _ = command.make_parser(context).parse_args(args=list(words))
    missing = [p.name for p in command.params if p.required and not _is_given(values.get(p.name or ""))]
    if rest or (missing and not bare):
        raise click.UsageError(f"{' '.join(names)}: too many {rest}, missing {missing}")
    return " ".join(names)


def _is_given(value: object) -> bool:
    """click has None, an empty tuple, or since 8.3 a sentinel where a parameter is left out."""
    return isinstance(value, str | bool | int) or (isinstance(value, tuple | list) and bool(value))
