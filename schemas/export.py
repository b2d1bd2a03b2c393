"""JSON Schemas of the messages, for consumers in other languages, from the very structs that the code decodes with."""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.wire import (
    Bar,
    ControlRecord,
    PluginEntry,
    PluginReply,
    PluginRequest,
    ShadowPrediction,
    Signal,
    StateRecord,
)
from schemas.wire.cross_sections import PredictionRecord
from schemas.wire.news import Article, NewsRecord

TOPICS: dict[str, Any] = {
    "bars": Bar,
    "signals": Signal,
    "predictions": PredictionRecord,
    "predictions.shadow": ShadowPrediction,
    "news": Article,
    "news.scores": NewsRecord,
    "state": StateRecord,
    "control": ControlRecord,
    "plugins": PluginEntry,
    "plugins.requests": PluginRequest,
    "plugins.replies": PluginReply,
}
"""Topic (without a prefix) → type of its values. `dead-letters` carries the original bytes, so it has none."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "json"
"""The schemas that ship with the package."""


def schema_of(topic: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the values on `topic`."""
    schema = msgspec.json.schema(TOPICS[topic])
    for part in schema.get("$defs", {}).values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    return {"$schema": DIALECT, "title": f"alphawire topic {topic}", **schema}


def rendered() -> dict[str, str]:
    """File name → text, for every topic."""
    return {
        f"{topic}.schema.json": json.dumps(schema_of(topic), indent=2, ensure_ascii=False) + "\n" for topic in TOPICS
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every schema to `folder`; the paths written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rendered().items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(
            f"cannot write the schemas to {folder}: {reason}; choose another folder with --out"
        ) from None
    return [folder / name for name in rendered()]


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of files in `folder` that differ from the code, are missing, or belong to no topic."""
    wanted = rendered()
    present = {path.name for path in folder.glob("*.schema.json")}
    differ = {name for name in present & wanted.keys() if (folder / name).read_text(encoding="utf-8") != wanted[name]}
    return sorted(differ | (present ^ wanted.keys()))
