"""Features of the cross-section, clean and faulty."""

import numpy as np
from pydantic import Field

from plugins.base import Params
from plugins.cross_sectional import SectionFeature
from tests.plugins.conformance.table import clean, faulty


@clean
class FromMedian(SectionFeature):
    """The median of two is between them; of one it is the one."""

    def section(self, values):
        with np.errstate(over="ignore"):
            found = values - np.median(values)
        return np.where(np.isfinite(found), found, np.nan)


@clean
class Winsorised(SectionFeature):
    """With a parameter; what lies outside of the percentiles is cut."""

    class Params(Params):
        column: str
        share: float = Field(0.05, ge=0.0, lt=0.5)

    def section(self, values):
        ordered, cut = np.sort(values), int(self.params["share"] * len(values))
        return np.clip(values, ordered[cut], ordered[-1 - cut])


@clean
class Above(SectionFeature):
    """Whole numbers: how many are lower."""

    def section(self, values):
        return np.searchsorted(np.sort(values), values)


@faulty("computes")
class Aggregated(SectionFeature):
    """One number for all."""

    def section(self, values):
        return values.mean()


@faulty("input_untouched")
class InPlace(SectionFeature):
    def section(self, values):
        values -= values.min()
        return values


@faulty("repeatable")
class Jittered(SectionFeature):
    """Breaks ties by chance."""

    def section(self, values):
        return values + np.random.default_rng().normal(size=len(values)) * 1e-6


@faulty("row_order")
class FirstComes(SectionFeature):
    """Equal values are ranked by their places."""

    def section(self, values):
        return np.argsort(np.argsort(values, kind="stable")) + 1.0


@faulty("other_times")
class Remembers(SectionFeature):
    """A mean over all times so far: a worker that starts later has another."""

    def __init__(self, **params):
        super().__init__(**params)
        self.sum = self.count = 0.0

    def section(self, values):
        self.sum, self.count = self.sum + values.sum(), self.count + len(values)
        return values - self.sum / self.count


@faulty("edge_cases")
class OverZero(SectionFeature):
    def section(self, values):
        return (values - values.mean()) / values.std() if values.std() else np.full(len(values), np.inf)


@faulty("batch_equals_live")
class OverTheFrame(SectionFeature):
    """In a frame it is measured from the mean of all times."""

    def section(self, values):
        return values - values.mean() / 2 - values.mean() / 2 if abs(values).max() < 1e300 else values * np.nan

    def compute(self, data):
        return (data[[self.column]] - data[self.column].mean()).set_axis(list(self.outputs), axis=1)


@faulty("reads_its_input_alone")
class ReadsAFile(SectionFeature):
    def section(self, values):
        with open("/etc/hostname", "rb") as file:
            return values + 0.0 * len(file.read())


@faulty("parameters")
class Unlimited(SectionFeature):
    """Divides by its parameter."""

    class Params(Params):
        column: str
        parts: int = 5

    def section(self, values):
        if self.params["parts"] < 1:
            raise ValueError("no parts")
        return np.floor(np.searchsorted(np.sort(values), values) / len(values) * self.params["parts"])


@faulty("speed")
class Slow(SectionFeature):
    cost = "compiled"

    def section(self, values):
        return np.array([sum(1.0 for other in values.tolist() if other < value) for value in values.tolist()])
