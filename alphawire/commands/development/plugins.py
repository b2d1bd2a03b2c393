"""``alphawire plugins``: what plugins there are."""

import difflib
import json
from typing import Any

import click
import msgspec

from alphawire.commands.options import json_option, only_json, plugins_option, print_json
from alphawire.display.tables import print_table
from plugins.base.loading.discovery import CATEGORIES, faults
from plugins.base.loading.listing import entries
from schemas.errors import ConfigurationError
from schemas.wire import PluginEntry

UNTOLD = {"type": "object"}
"""Schema of a plugin that declares no parameters: it accepts any."""


@click.command(help="What plugins there are: parameters with defaults, cost, availability. Needs no broker.")
@click.argument("category", required=False)
@json_option
@click.option("--schema", "key", metavar="KEY", help="JSON Schema of one plugin's parameters")
@plugins_option
def command(category: str | None, as_json: bool, key: str | None) -> None:
    if category is not None and category not in CATEGORIES:
        raise ConfigurationError(f"there is no category {category!r}; {_options(category, CATEGORIES)}")
    if key is not None:
        with only_json():
            print_json(_schema(key, _chosen(category)), indent=2)
    elif as_json:
        listing = {"plugins": msgspec.to_builtins(_chosen(category)), "faults": msgspec.to_builtins(faults)}
        print_json(listing, indent=2)
    else:
        _print_tables(_chosen(category))
    for fault in faults:
        click.echo(f"faulty plugin {fault}", err=True)


def _chosen(category: str | None) -> list[PluginEntry]:
    return [entry for entry in entries() if category in (None, entry.category)]


def _schema(key: str, chosen: list[PluginEntry]) -> dict[str, Any]:
    entries = [entry for entry in chosen if entry.key == key]
    if not entries:
        raise ConfigurationError(f"there is no plugin {key!r}; {_options(key, [entry.key for entry in chosen])}")
    if len(entries) > 1:
        categories = " and ".join(entry.category for entry in entries)
        raise ConfigurationError(f"{key} is in {categories}; name the category as well")
    return entries[0].parameters or UNTOLD


def _options(wrong: str, names: Any) -> str:
    near = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(names) or 'none'}"


def _print_tables(chosen: list[PluginEntry]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    for category in CATEGORIES:
        members = [entry for entry in chosen if entry.category == category]
        if not members:
            continue
        table = Table(
            "key", "parameters", "cost", "available", "what it is", box=SIMPLE, title=category, title_justify="left"
        )
        for entry in members:
            available = "yes" if entry.available else f"no: {entry.install}"
            table.add_row(entry.key, _parameters(entry), entry.cost, available, entry.summary)
        print_table(table)


def _parameters(entry: PluginEntry) -> str:
    """``name=default`` for each parameter, the bare name where one must be given."""
    if entry.parameters is None:
        return "any"
    properties = entry.parameters.get("properties", {})
    return ", ".join(
        f"{name}={_short(declared['default'])}" if "default" in declared else name
        for name, declared in properties.items()
    )


def _short(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
