"""What a model sees: the features of its training against those of the strategy that wants to use it."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from plugins.models.artifacts.manifest import FeatureUse, Manifest
from schemas.errors import ArtifactError

log = logging.getLogger("alphawire.models")


@dataclass(frozen=True)
class Inputs:
    """The features of a strategy, in its order, and what of the news counts where they use news."""

    features: Sequence[FeatureUse]
    news: Mapping[str, Any] | None


def check_inputs(folder: Path, manifest: Manifest, inputs: Inputs) -> None:
    """`ArtifactError` that names the first difference; a warning where the manifest does not say what it saw."""
    trained = manifest.training
    if trained.features is None:
        _warn_unchecked(folder, manifest.sha256)
        return
    differences = _differences(trained.features, inputs.features)
    for difference in (*differences, *_of_news(trained.news or {}, inputs.news or {})):
        raise ArtifactError(f"{folder}: trained with {difference}; train again")


@cache
def _warn_unchecked(folder: Path, sha256: str) -> None:
    """Once for an artifact in a process."""
    log.warning(
        "%s (%s): its manifest names columns only: the features' keys, parameters, versions and sources of its training"
        " cannot be checked; train again, and they are",
        folder, sha256[:12],
    )  # fmt: skip


def _differences(trained: Sequence[FeatureUse], here: Sequence[FeatureUse]) -> Iterator[str]:
    """In words, "A, and the strategy says B"."""
    for was, now in zip_longest(trained, here):
        if was is None or now is None or was.key != now.key:
            yield f"{_named(was)}, and the strategy says {_named(now)}"
        elif was.version != now.version:
            yield f"{_named(was)} of version {was.version}, and {now.version} is installed"
        else:
            yield from _of_one(was, now)


def _of_one(was: FeatureUse, now: FeatureUse) -> Iterator[str]:
    for name in [*was.params, *(name for name in now.params if name not in was.params)]:
        old, new = _value(was.params, name), _value(now.params, name)
        if old != new:
            yield f"{_named(was)} {name} {old}, and the strategy says {new}"
    if was.columns != now.columns:
        yield f"{_named(was)} giving {', '.join(was.columns)}, and the strategy's gives {', '.join(now.columns)}"
    if was.sessions != now.sessions:
        yield f"{_named(was)} over other sessions, of another version of exchange_calendars"
    if was.source and now.source and was.source != now.source:
        yield (
            f"{_named(was)} of source {was.source[:12]}, and here it is {now.source[:12]}:"
            " its code was edited under its version"
        )


def _of_news(trained: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in [*trained, *(name for name in here if name not in trained)]:
        old, new = _value(trained, name), _value(here, name)
        if old != new:
            yield f"news.{name} {old}, and the strategy says {new}"


def _named(use: FeatureUse | None) -> str:
    """Its key, and its columns' common alias where the key alone could be another's."""
    if use is None:
        return "no further feature"
    return use.key if len(use.columns) > 1 else f"{use.key} ({use.columns[0]})"


def _value(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "nothing"
