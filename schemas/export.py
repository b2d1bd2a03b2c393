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
from schemas.wire.side_inputs import SideInput
from schemas.wire.trades import Tick, Trade, TradesState

TOPICS: dict[str, Any] = {
    "bars": Bar,
    "signals": Signal,
    "predictions": PredictionRecord,
    "predictions.shadow": ShadowPrediction,
    "news": Article,
    "news.scores": NewsRecord,
    "side.inputs": SideInput,
    "state": StateRecord,
    "control": ControlRecord,
    "trades": (Trade, Tick),
    "trades.state": TradesState,
    "plugins": PluginEntry,
    "plugins.requests": PluginRequest,
    "plugins.replies": PluginReply,
}
"""Topic (without a prefix) → type of its values, or several. `dead-letters` carries original bytes, so it has none."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "json"
"""The schemas that ship with the package."""


LARGEST = 2**53 - 1
"""Of an integer that says no other maximum: exact in JavaScript, and beyond 32 bits: generated code takes 64."""


def schema_of(topic: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the values on `topic`, in the words that validators and code generators of
    other languages share.
    """
    types = TOPICS[topic] if isinstance(TOPICS[topic], tuple) else (TOPICS[topic],)
    schemas, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    schema = {**schema, "$defs": parts}
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    shared = _shared(schema, parts)
    used = json.dumps([{**shared, "$defs": None}, *shared["$defs"].values()])
    shared["$defs"] = {name: part for name, part in shared["$defs"].items() if f'"#/$defs/{name}"' in used}
    return {"$schema": DIALECT, "title": f"alphawire topic {topic}", **shared}


def _shared(node: Any, parts: dict[str, Any]) -> Any:
    """`node` without what only some tools know: no `discriminator`, a nullable value as ``type: [X, "null"]``, each
    enumeration and integer with what a generator needs to choose a type.
    """
    if isinstance(node, list):
        return [_shared(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _shared(value, parts) for key, value in node.items() if key not in ("discriminator", "default")}
    if "default" in node and not node["default"]:  # go-jsonschema's code never writes false where true is the default
        plain["default"] = node["default"]
    if {"type": "null"} in plain.get("anyOf", []):
        plain = _nullable(plain, parts)
    if "enum" in plain:
        plain = {"type": "string", **plain}
    if "integer" in _types(plain):
        plain.setdefault("maximum", LARGEST)
    return plain


def _nullable(node: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """One type, or null: `node` without its ``anyOf``."""
    (option,) = [option for option in node["anyOf"] if option != {"type": "null"}]
    if "$ref" in option:  # a reference has no place for null
        option = _shared(parts[option["$ref"].rpartition("/")[2]], parts)
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**option, **rest, "type": [option["type"], "null"]}


def _types(node: dict[str, Any]) -> list[str]:
    types = node.get("type", [])
    return types if isinstance(types, list) else [types]


def rendered() -> dict[str, str]:
    """File name → text, for every topic."""
    return {f"{topic}.schema.json": json.dumps(schema_of(topic), indent=2) + "\n" for topic in TOPICS}


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
