"""`section.rank`, `section.zscore`, `section.demean`: a symbol's value among those of all symbols at that time."""

import math

import numpy as np
from pydantic import Field

from plugins.base import FloatArray, Params
from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry


class _Column(Params):
    column: str = Field(description="the column that it is made of", min_length=1)


@feature_registry.register("section.rank")
class Rank(SectionFeature):
    """Rank of the value among the members', as a fraction of their number.

    Parameters
    ----------
    column
        What is ranked.
    pct
        True: rank / n, in (0, 1]; false: the rank itself, from 1 (the lowest) to n.

    Notes
    -----
    n is the number of members with a value. Equal values share the mean of their ranks: pandas'
    ``rank(method="average", pct=...)``. A member alone has rank 1. NaN where the value is unknown.
    """

    cost = "compiled"

    class Params(_Column):
        pct: bool = Field(True, description="as a fraction of the number of members")

    def section(self, values: FloatArray) -> FloatArray:
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        ranks: FloatArray = (last - (counts - 1) / 2)[places]
        return ranks / len(values) if self.params["pct"] else ranks


@feature_registry.register("section.demean")
class Demean(SectionFeature):
    """The value less the mean of the members' values: ``x - mean(x)``.

    Parameters
    ----------
    column
        What is measured.

    Notes
    -----
    The mean is of the exact sum, rounded once, so it depends on no order. 0 for a member alone. NaN where the value is
    unknown; unknown values do not count.
    """

    cost = "compiled"
    Params = _Column

    def section(self, values: FloatArray) -> FloatArray:
        return _demeaned(values)


@feature_registry.register("section.zscore")
class ZScore(SectionFeature):
    """The value less the members' mean, over their standard deviation: ``(x - mean(x)) / std(x)``.

    Parameters
    ----------
    column
        What is measured.
    ddof
        1: the sample's standard deviation (n - 1); 0: the population's (n).

    Notes
    -----
    Sums are exact, rounded once. NaN where all members have one value, for a member alone, and where the value is
    unknown; unknown values do not count.
    """

    cost = "compiled"

    class Params(_Column):
        ddof: int = Field(1, ge=0, le=1, description="1: of a sample; 0: of the population")

    def section(self, values: FloatArray) -> FloatArray:
        apart = _demeaned(values)
        freedom = len(values) - self.params["ddof"]
        largest = float(np.abs(apart).max())
        if freedom < 1 or not 0.0 < largest < math.inf:
            return np.full(len(values), np.nan)
        apart = apart / largest  # so that squares neither overflow nor vanish
        squares: FloatArray = apart * apart
        return apart / math.sqrt(math.fsum(squares.tolist()) / freedom)


def _demeaned(values: FloatArray) -> FloatArray:
    """Measured from the lowest: equal values have no rest, however large they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        above: FloatArray = values - values.min()
        if not np.isfinite(above).all():
            return np.full(len(values), np.nan)
        try:
            return above - math.fsum(above.tolist()) / len(values)
        except OverflowError:
            return np.full(len(values), np.nan)
