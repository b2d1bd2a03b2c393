"""How a shadow's predictions compare with the model's: against SciPy, and by hand where there is no number."""

import numpy as np
import pytest
from scipy import stats

from plugins.pipeline.prediction.comparison import ShadowComparison


def compared(*batches: tuple[list[float], list[float]]) -> dict[str, float | int | None]:
    comparison = ShadowComparison()
    for model, shadow in batches:
        comparison.add(np.array(model, float), np.array(shadow, float))
    return comparison.describe()


def test_nothing_has_no_numbers() -> None:
    nothing = {"rows": 0, "correlation": None, "mean_absolute_difference": None, "other_sign": None, "failures": 0}
    assert compared() == nothing
    assert compared(([np.nan, 1.0], [1.0, np.inf])) == nothing


@pytest.mark.parametrize("scale", [1.0, 1e-4])
@pytest.mark.parametrize("mean", [0.0, 1e6])
@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 40]])
def test_equals_scipy_in_any_batches(mean: float, scale: float, cuts: list[int]) -> None:
    """A large mean does not drown small differences; returns of a ten-thousandth are predictions, too."""
    rng = np.random.default_rng(5)
    model = scale * rng.normal(mean, 1.0, 60)
    shadow = 0.5 * model + scale * rng.normal(mean, 1.0, 60)
    found = compared(*zip(np.split(model, cuts), np.split(shadow, cuts), strict=True))
    assert found["rows"] == 60
    assert found["correlation"] == pytest.approx(stats.pearsonr(model, shadow).statistic, rel=1e-9)
    assert found["mean_absolute_difference"] == pytest.approx(np.abs(model - shadow).mean())
    assert found["other_sign"] == np.mean(np.sign(model) != np.sign(shadow))


def test_only_rows_with_both_count() -> None:
    """Of five rows two lack one: 1 and 3, -1 and 1, 2 and 2 are left, of which one differs in sign."""
    found = compared(([1.0, np.nan, -1.0, 5.0, 2.0], [3.0, 1.0, 1.0, np.inf, 2.0]))
    assert (found["rows"], found["mean_absolute_difference"], found["other_sign"]) == (3, 4 / 3, 1 / 3)
    assert found["correlation"] == pytest.approx(stats.pearsonr([1.0, -1.0, 2.0], [3.0, 1.0, 2.0]).statistic)


def test_what_never_varies_has_no_correlation() -> None:
    """One row, a shadow that says one thing; and numbers whose squares no float64 holds: not 0, which would be said of
    what has nothing in common.
    """
    assert compared(([1.0], [2.0]))["correlation"] is None
    assert compared(([1.0, 2.0, 4.0], [0.3, 0.3, 0.3]))["correlation"] is None
    far = compared(([1e200, -1e200, 3e200], [1.0, 2.0, 3.0]))
    assert (far["correlation"], far["other_sign"]) == (None, 1 / 3)
    assert compared(([1e308, 0.0], [-1e308, 0.0]))["mean_absolute_difference"] is None


def test_zero_is_a_sign_of_its_own() -> None:
    assert compared(([0.0, 0.0, -1.0], [0.0, 1.0, -2.0]))["other_sign"] == 1 / 3


def test_opposites() -> None:
    assert compared(([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]))["correlation"] == pytest.approx(-1.0)


def test_rows_on_which_the_shadow_failed_are_told() -> None:
    comparison = ShadowComparison()
    comparison.failures += 3
    assert comparison.describe()["failures"] == 3
    assert comparison.first_failure is None
