"""`ml.random_forest`."""

from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field, field_validator

from plugins.base import Params
from plugins.models import model_registry
from plugins.models.trees.model import Rows, TreeModel

if TYPE_CHECKING:
    from plugins.models.trees.forest_skops import Forest

OWN = {
    "n_estimators": "n_estimators",
    "max_depth": "max_depth",
    "min_samples_leaf": "min_samples_leaf",
    "n_jobs": "n_jobs",
    "random_state": "seed",
}
REFUSED = {"warm_start": "would train on where another training ended", "verbose": "would print, and changes nothing"}


class RandomForestParams(Params):
    n_estimators: int = Field(200, ge=1)
    max_depth: int | None = Field(None, ge=1)
    min_samples_leaf: int = Field(5, ge=1)
    n_jobs: int = Field(
        -1, description="threads of the training, -1: one for each core; the forest does not depend on it"
    )
    seed: int = Field(42, ge=0, le=2**31 - 1)
    extra: dict[str, Any] = Field({}, description="further parameters of RandomForestRegressor")

    @field_validator("n_jobs")
    @classmethod
    def _some(cls, value: int) -> int:
        if value == 0:
            raise ValueError("0 jobs train nothing; write 1, or -1 for all cores")
        return value


@model_registry.register("ml.random_forest")
class RandomForest(TreeModel):
    """The mean of many regression trees, each grown on a sample of the rows, by scikit-learn; in the target's unit.

    Parameters
    ----------
    n_estimators, max_depth, min_samples_leaf
        As ``sklearn.ensemble.RandomForestRegressor`` has them.
    n_jobs
        Of the training alone: -1 uses all cores. The forest does not depend on it.
    seed
        Makes training repeatable (`random_state`).
    extra
        Any other parameter of `RandomForestRegressor`: ``{"max_features": "sqrt"}``.

    Notes
    -----
    Predictions come from a compiled loop over the trees (`plugins.models.trees.arrays`), equal to the library's own
    with one job to the last bit, in any batch (with two jobs the library adds the trees as they come, so that two
    equal calls differ). A NaN in a row is a missing value, which each split has a side for. The file is skops' of the
    `RandomForestRegressor` (``skops.io.load`` reads it): nothing in it is executed, types that no forest consists of
    are refused before anything is made, and every index of a tree is checked.

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    L. Breiman, Random Forests, Machine Learning 45, 2001.
    """

    Params = RandomForestParams
    packages = {"sklearn": "scikit-learn", "skops": "alphawire[forest]"}
    library = "scikit-learn"
    file_name = "model.skops"

    def fit(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        from sklearn.ensemble import RandomForestRegressor

        from plugins.models.trees.forest_skops import write_forest

        names = {name: name for name in RandomForestRegressor().get_params()}
        given = {name: self.params[ours] for name, ours in OWN.items()} | self.extra(names, OWN, REFUSED)
        try:
            model = RandomForestRegressor(**given).fit(pd.DataFrame(rows.x, columns=columns), rows.y)
        except (ValueError, TypeError) as error:
            raise self.refused(error) from None
        # With more jobs the library's own sums depend on which thread comes first: whoever opens the file gets ours.
        return write_forest(model.set_params(n_jobs=1))

    def read(self, data: bytes) -> tuple["Forest", list[str]]:
        from plugins.models.trees.forest_skops import read_forest

        return read_forest(data)
