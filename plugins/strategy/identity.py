"""What a resolved configuration says of the code behind it: each plugin's key, version and source."""

from collections.abc import Iterator, Mapping
from typing import Any

from plugins.base import Plugin

Resolved = Mapping[str, Any]
"""As `applied` holds it."""


def identity_of(plugin: Plugin) -> dict[str, Any]:
    """Key, version, the hash of its source where there is one, and parameters."""
    source = {"source": digest} if (digest := plugin.source_sha256) else {}
    return {"key": plugin.key, "version": plugin.version, **source, "params": plugin.params}


def plugins_in(config: Resolved) -> list[dict[str, Any]]:
    """The sections of a configuration that are of one plugin each: features, model, signal."""
    features = config.get("features")
    sections = [*(features if isinstance(features, list) else []), config.get("model"), config.get("signal")]
    return [section for section in sections if isinstance(section, dict)]


def edited(before: Resolved, now: Resolved) -> list[str]:
    """In words, the plugins whose code was changed under the same version. One without a source, as of an earlier
    version of alphawire, cannot be compared.
    """
    old = {section.get("key"): section for section in plugins_in(before)}
    return list(dict.fromkeys(_changes(old, plugins_in(now))))


def _changes(old: Mapping[Any, dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[str]:
    for section in now:
        was = old.get(section["key"], {})
        if was.get("version") == section["version"] and _differ(was, section):
            yield (
                f"{section['key']} version {section['version']} was edited under its version (source"
                f" {was['source'][:12]} before, {section['source'][:12]} now)"
            )


def same_code_of_states(before: Resolved, now: Resolved) -> bool:
    """Are states that were folded before those that would be folded now? What decides after the states may differ."""
    pairs = list(zip(_list(before), _list(now), strict=False))
    if any(section.get("fold") for _, section in _pairs(before, now)):
        pairs += _pairs(before, now)
    return not any(_differ(was, section) for was, section in pairs)


def _list(config: Resolved) -> list[dict[str, Any]]:
    return [section for section in config.get("features") or [] if isinstance(section, dict)]


def _pairs(before: Resolved, now: Resolved) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What a fold over predictions depends on: the model, and the signal itself."""
    return [(before.get(name) or {}, now.get(name) or {}) for name in ("model", "signal")]


def _differ(was: Mapping[str, Any], section: Mapping[str, Any]) -> bool:
    return bool(was.get("source")) and bool(section.get("source")) and was["source"] != section["source"]


def has_sources(config: Resolved) -> bool:
    """Did a version write it that hashes sources? One before did not, and no other hash is known of it."""
    return any("source" in section for section in plugins_in(config))


def without_sources(config: Resolved) -> dict[str, Any]:
    """As a version that did not hash sources resolves the same configuration."""
    plain = dict(config) | {"features": [_plain(section) for section in _list(config)]}
    return plain | {name: _plain(config[name]) for name in ("model", "signal") if isinstance(config.get(name), dict)}


def _plain(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name not in ("source", "fold")}
