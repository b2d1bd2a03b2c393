"""The first field in which two documents are not alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.canonical import canonical_json

NOTHING = "nothing"
"""Stands for a field that one side does not have."""


@dataclass(frozen=True)
class FirstDifference:
    """The first field in which what was told is not what comes out."""

    field: str
    told: Any
    recomputed: Any


def first_difference(told: Any, recomputed: Any, place: str = "") -> FirstDifference | None:
    """Depth first, in the order of `recomputed`'s fields; equal is what has equal bytes as JSON (1 is not 1.0)."""
    return next(_differences(told, recomputed, place), None)


def _differences(told: Any, recomputed: Any, place: str) -> Iterator[FirstDifference]:
    if isinstance(told, dict) and isinstance(recomputed, dict):
        for name in [*recomputed, *(name for name in told if name not in recomputed)]:
            yield from _differences(told.get(name, NOTHING), recomputed.get(name, NOTHING), f"{place}{name}.")
    elif isinstance(told, list) and isinstance(recomputed, list) and len(told) == len(recomputed):
        for number, (ours, theirs) in enumerate(zip(told, recomputed, strict=True)):
            yield from _differences(ours, theirs, f"{place.removesuffix('.')}[{number}].")
    elif canonical_json(told) != canonical_json(recomputed):
        yield FirstDifference(place.removesuffix("."), told, recomputed)
