"""Which layout of a preset a file has, and which presets a file looks like."""

import re
from dataclasses import dataclass, field
from typing import Any

from schemas.configuration.presets import Layout, Preset, merged, preset, preset_files, settled
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError
from streams.ingest.reading.pieces import Piece


@dataclass(frozen=True)
class Look:
    """What is seen of a file before it is read."""

    piece: Piece
    text: str = ""
    """The first lines of a text file."""
    columns: tuple[str, ...] = ()
    """Of any other."""
    types: dict[str, str] = field(default_factory=dict)


def settle(source: Source, look: Look) -> Source:
    """The source as it stands for a file: its preset's layout below what is declared.

    Raises
    ------
    ConfigurationError
        For a file that the tool of the preset does not write, and a setting that has to be declared.
    """
    if source.preset is None:
        return source
    chosen = preset(source.preset)
    layout = next((layout for layout in chosen.layouts if fits(layout, look)), None)
    if layout is None:
        others = [name for name in guesses(look) if name != source.preset]
        hint = f"; it looks like preset {' or '.join(others[:3])}" if others else ""
        raise ConfigurationError(
            f"{look.piece}: is no file of preset {source.preset} ({chosen.tool}): {_seen(look)}{hint}"
        )
    given = merged(source, layout)
    for setting, why in {**chosen.needs, **layout.needs}.items():
        if _value(given, setting) is None:
            raise ConfigurationError(f"{look.piece}: preset {source.preset} needs {setting}: {why}")
    return settled(source, layout)


def _value(settings: dict[str, Any], setting: str) -> Any:
    value: Any = settings
    for part in setting.split("."):
        value = value.get(part) if value else None
    return value


def fits(layout: Layout, look: Look) -> bool:
    when = layout.when
    if when.path and not re.search(when.path, str(look.piece).replace("\\", "/")):
        return False
    if when.lines and not re.search(when.lines, look.text, re.MULTILINE):
        return False
    if (when.kind or "file") != (look.piece.kind if look.piece.kind == "qlib" else "file"):
        return False
    names = {name.strip().lower() for name in columns_of(look, layout)}
    if when.column and not any(re.search(when.column, name) for name in columns_of(look, layout)):
        return False
    if not {name.lower() for name in when.columns} <= names:
        return False
    return all(look.types.get(name) == kind for name, kind in when.types.items())


def columns_of(look: Look, layout: Layout) -> tuple[str, ...]:
    """Names of the columns; of a text the fields of its first line."""
    if not look.text:
        return look.columns
    csv = layout.source.get("csv", {})
    lines = look.text.splitlines()[csv.get("skip", 0) :]
    return tuple(each.strip(' "') for each in lines[0].split(csv.get("delimiter", ","))) if lines else ()


def guesses(look: Look) -> list[str]:
    """Names of the presets that a file looks like."""
    return [name for name in preset_files() if any(_speaks(layout, look) for layout in preset(name).layouts)]


def _speaks(layout: Layout, look: Look) -> bool:
    """It fits, and by more than a name that any file may have."""
    when = layout.when
    return fits(layout, look) and bool(when.lines or when.types or when.column or when.kind or len(when.columns) > 1)


def describe(chosen: Preset, look: Look) -> str:
    """What speaks for it."""
    for layout in chosen.layouts:
        if fits(layout, look):
            when = layout.when
            parts = [f"columns {', '.join(when.columns)}" if when.columns else "", "its path" if when.path else ""]
            parts += ["its first lines" if when.lines else "", "types of columns" if when.types else ""]
            return " and ".join(part for part in parts if part)
    return ""


def _seen(look: Look) -> str:
    if look.text:
        lines = look.text.splitlines()
        return f"it begins with {lines[0][:80]!r}" if lines else "it is empty"
    return f"it has {', '.join(look.columns)}" if look.columns else "it is of another kind"
