"""The command group ``alphawire models``: what is done with model artifacts after their training."""

import click

from alphawire.wishing import list_models, use


@click.group("models")
def models() -> None:
    """Model artifacts after their training: have the workers use one."""


models.add_command(use)
models.add_command(list_models)
