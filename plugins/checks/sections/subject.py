"""A feature of the cross-section under test: values of symbols at one time, and what it makes of them."""

from functools import cached_property
from typing import Any

import numpy as np

from plugins.base import FloatArray
from plugins.checks.features.subject import describe
from plugins.checks.findings.outcome import Failed
from plugins.cross_sectional import SectionFeature

COLUMN = "value"
"""What it is asked to be made of."""


def times(seed: int = 1, count: int = 40) -> list[FloatArray]:
    """The values of three to forty symbols at so many times, with ties."""
    random = np.random.default_rng(seed)
    sizes = random.integers(3, 41, count).tolist()
    scales = np.power(10.0, random.integers(-3, 6, count)).tolist()
    return [random.normal(1.0, 1.0, size).round(1) * scale for size, scale in zip(sizes, scales, strict=True)]


class SectionSubject:
    """What the checks of a feature of the cross-section share."""

    def __init__(self, cls: type[SectionFeature], params: dict[str, Any]) -> None:
        self.cls, self.params = cls, {"column": COLUMN} | params

    def new(self) -> SectionFeature:
        """A fresh instance."""
        try:
            return self.cls(**self.params)
        except Exception as error:
            raise Failed(f"it cannot be created: {describe(error)}", "see the parameters that it declares") from error

    def section(
        self, values: FloatArray, what: str = "usual values", plugin: SectionFeature | None = None
    ) -> FloatArray:
        """What it makes of a copy of `values`, which are named `what`; `Failed` when that is not a number for each."""
        mend = "return one number for each value, NaN where there is none, for any number of symbols from one on"
        try:
            found = np.asarray((plugin or self.new()).section(values.copy()))
        except (Exception, SystemExit) as error:
            raise Failed(f"section raised {describe(error)} on {what} ({len(values)} symbols)", mend) from error
        if found.shape != values.shape or found.dtype.kind not in "fiub":
            raise Failed(f"for {what}, {len(values)} of them, it gave {found.dtype} of shape {found.shape}", mend)
        result: FloatArray = found.astype(np.float64)
        return result

    @cached_property
    def times(self) -> list[FloatArray]:
        return times()

    @cached_property
    def baseline(self) -> list[FloatArray]:
        """Of each of the times, by an instance that sees no other."""
        return [self.section(values) for values in self.times]


def differs(one: FloatArray, other: FloatArray) -> str | None:
    """Where they are apart by more than rounding, in words."""
    size = max(np.abs(one[np.isfinite(one)]).max(initial=0.0), np.abs(other[np.isfinite(other)]).max(initial=0.0))
    apart = ~np.isclose(one, other, rtol=1e-9, atol=1e-9 * size, equal_nan=True)
    if not apart.any():
        return None
    place = int(np.flatnonzero(apart)[0])
    return f"the value of symbol {place + 1} of {len(one)} was {one[place]:.9g} and became {other[place]:.9g}"
