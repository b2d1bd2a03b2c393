"""Presets: how tools and vendors write their files. Each is one file of ``preset_files/``: docs/sources.md explains."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from schemas.configuration.fields import Section
from schemas.configuration.sources import Source
from schemas.errors import ConfigurationError

FOLDER = Path(__file__).parent / "preset_files"


class When(Section):
    """What tells that a file is of a layout: all that is given must hold."""

    columns: tuple[str, ...] = Field((), description="it has all of these, in any case")
    lines: str | None = Field(None, description="a regular expression that is found in the first lines of a text file")
    column: str | None = Field(None, description="one that is found in the name of a column")
    path: str | None = Field(None, description="one that is found in its path")
    kind: str | None = Field(None, description="qlib: a folder of .bin files")
    types: dict[str, str] = Field({}, description="column → its type in Arrow")


class Layout(Section):
    """One way in which the tool writes."""

    when: When
    needs: dict[str, str] = Field({}, description="settings that such a file does not say → an explanation")
    source: dict[str, Any] = Field({}, description="settings of `Source`")


class Preset(Section):
    """A named set of settings, its origin, and what it was checked against."""

    tool: str = Field(description="what writes the files, and its version")
    url: str = Field(description="where its layout is documented")
    checked: str = Field(description="when, and against what: its own files, or its documentation")
    note: str = Field("", description="what surprises")
    ignore: str | None = Field(None, description="a regular expression of the paths of what lies beside the bars")
    needs: dict[str, str] = Field({}, description="settings that the files do not say → an explanation")
    layouts: tuple[Layout, ...]


@lru_cache(maxsize=1)
def preset_files() -> dict[str, Path]:
    """Name → file, by name."""
    return {path.stem: path for path in sorted(FOLDER.rglob("*.yaml"), key=lambda path: path.stem)}


@lru_cache(maxsize=256)
def preset(name: str) -> Preset:
    """`ConfigurationError` where there is none of that name."""
    path = preset_files().get(name)
    if path is None:
        raise ConfigurationError(f"there is no preset {name!r}; there is: {', '.join(preset_files())}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return preset(content["same_as"]) if "same_as" in content else Preset.model_validate(content)


def settled(source: Source, layout: Layout) -> Source:
    """`source` on top of what `layout` says; `ConfigurationError` where the two do not go together."""
    try:
        return Source.model_validate(merged(source, layout))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ConfigurationError(
            f"preset {source.preset}: {place}: {fault['msg'].removeprefix('Value error, ')}"
        ) from None


def merged(source: Source, layout: Layout) -> dict[str, Any]:
    """The settings of both; those that are declared win."""
    whole: dict[str, Any] = _merged(layout.source, source.model_dump(exclude_unset=True))
    return whole


def _merged(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {name: _merged(below.get(name), value) for name, value in above.items()}
