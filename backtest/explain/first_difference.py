"""The first field in which two documents are not alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.canonical import canonical_json

NOTHING = "nothing"
"""Stands for a field that one side does not have."""


@dataclass(frozen=True)
class FirstDifference:
    """The first field in which what was published (or kept) is not what is recomputed."""

    field: str
    told: Any
    recomputed: Any


def first_difference(published: Any, recomputed: Any, place: str = "") -> FirstDifference | None:
    """Depth first, in the order of `recomputed`'s fields; equal is what has equal bytes as JSON (1 is not 1.0)."""
    return next(_differences(published, recomputed, place), None)


def _differences(published: Any, recomputed: Any, place: str) -> Iterator[FirstDifference]:
    if isinstance(published, dict) and isinstance(recomputed, dict):
        for name in [*recomputed, *(name for name in published if name not in recomputed)]:
            yield from _differences(published.get(name, NOTHING), recomputed.get(name, NOTHING), f"{place}{name}.")
    elif isinstance(published, list) and isinstance(recomputed, list) and len(published) == len(recomputed):
        for number, (ours, theirs) in enumerate(zip(published, recomputed, strict=True)):
            yield from _differences(ours, theirs, f"{place.removesuffix('.')}[{number}].")
    elif canonical_json(published) != canonical_json(recomputed):
        yield FirstDifference(place.removesuffix("."), published, recomputed)
