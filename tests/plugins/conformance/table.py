"""The table of plugins that the kit must tell apart: clean ones, and faulty ones with the check that must find each."""

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd

from plugins.base import BaseFeature, Plugin

P = TypeVar("P", bound=type[Plugin])

CLEAN: list[type[Plugin]] = []
FAULTY: list[tuple[type[Plugin], str]] = []


def _of_the_table(cls: type[Plugin]) -> bool:
    """Not the same class again: pytest imports each module once more, by its bare name, to look for doctests."""
    return cls.__module__.startswith("tests.")


def clean(cls: P) -> P:
    """The kit must accept it."""
    if _of_the_table(cls):
        CLEAN.append(cls)
    return cls


def faulty(check: str) -> Callable[[P], P]:
    """The kit must reject it, by this check."""

    def add(cls: P) -> P:
        if _of_the_table(cls):
            FAULTY.append((cls, check))
        return cls

    return add


class OneColumn(BaseFeature):
    """One column from the bars; a subclass says which."""

    lookback: Any = 20

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"value": self.value(data)}, index=data.index)

    def value(self, data: pd.DataFrame) -> Any:
        raise NotImplementedError
