"""The same input gives the same output: twice, in another process, and whatever was computed before."""

import hashlib
import pickle
import sys
from types import ModuleType
from typing import Any

import pandas as pd

from plugins.checks.bars import real, walk
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.findings.compare import difference, numbers
from plugins.checks.findings.outcome import Failed


def repeatable(subject: FeatureSubject) -> str:
    """Computed twice by new instances, and once more in a process with another hash seed: the bytes were compared."""
    first = subject.compute(subject.bars, plugin=subject.new())
    deviation = difference(first, subject.compute(subject.bars, plugin=subject.new()))
    if deviation is not None:
        raise Failed(f"the second time {deviation.text}", "no clock, no unseeded random numbers, no order of a set")
    return f"SHA-256 {digest(first)}"


def digest(result: pd.DataFrame) -> str:
    """Of names and values."""
    return hashlib.sha256(repr(list(result.columns)).encode() + numbers(result).tobytes()).hexdigest()[:16]


def shared_state(subject: FeatureSubject) -> str:
    """What the class and its module hold was compared before and after computing other bars."""
    subject.compute(subject.bars)
    before = _held(subject.cls)
    subject.compute(walk(len(subject.bars), 5), plugin=subject.new())
    subject.compute(real("JNJ", len(subject.bars)), plugin=subject.new())
    after = _held(subject.cls)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise Failed(
            f"computing changed {', '.join(changed)}",
            "keep nothing on the class or in the module: all symbols and strategies of a process share them",
        )
    return "the class and its module are as they were"


def _held(cls: type[Any]) -> dict[str, bytes]:
    """The data that the plugin's classes and module hold, as bytes, to see whether it changed."""
    places: list[tuple[str, dict[str, Any]]] = [
        (parent.__name__, dict(vars(parent))) for parent in cls.__mro__ if not parent.__module__.startswith("plugins.")
    ]
    module = sys.modules.get(cls.__module__)
    places.append((cls.__module__.rpartition(".")[2], dict(vars(module)) if module else {}))
    return {
        f"{place}.{name}": content(value)
        for place, values in places
        for name, value in values.items()
        if not name.startswith("__") and not callable(value) and not isinstance(value, ModuleType | property)
    }


def content(value: Any) -> bytes:
    """The bytes of a value; of one that cannot be pickled its type."""
    try:
        return pickle.dumps(value)
    except Exception:
        return type(value).__qualname__.encode()
