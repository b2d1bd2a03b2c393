"""`ml.catboost`."""

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from plugins.models import model_registry
from plugins.models.trees.model import BoostedParams, Rows, TreeModel, numbered

if TYPE_CHECKING:
    from plugins.models.trees.oblivious import ObliviousTrees

OWN = {
    "depth": "depth",
    "learning_rate": "learning_rate",
    "iterations": "iterations",
    "loss_function": "loss",
    "random_seed": "seed",
    "early_stopping_rounds": "early_stopping_rounds",
}
ALIASES = {
    "max_depth": "depth", "eta": "learning_rate", "n_estimators": "iterations", "num_boost_round": "iterations",
    "num_trees": "iterations", "objective": "loss_function", "random_state": "random_seed", "reg_lambda": "l2_leaf_reg",
    "min_child_samples": "min_data_in_leaf", "num_leaves": "max_leaves", "colsample_bylevel": "rsm",
    "max_bin": "border_count",
}  # fmt: skip
BY_COLUMN = (
    "monotone_constraints", "feature_weights", "ignored_features", "first_feature_use_penalties",
    "per_object_feature_penalties",
)  # fmt: skip
"""Parameters that name columns."""
FIXED = {"allow_writing_files": False, "logging_level": "Silent", "task_type": "CPU"}
REFUSED = dict.fromkeys(
    (*FIXED, "devices", "silent", "verbose", "verbose_eval", "train_dir", "name", "save_snapshot", "snapshot_file",
     "snapshot_interval", "allow_const_label"),
    "is fixed, so that training can be repeated",
) | dict.fromkeys(
    ("callback", "cat_features", "text_features", "embedding_features", "input_borders", "output_borders", "metadata"),
    "is not supported",
)  # fmt: skip
NEW_EACH_TIME = ("train_finish_time", "model_guid")
"""Metadata that would make two files of the same training differ."""


class CatBoostParams(BoostedParams):
    depth: int = Field(6, ge=1, le=16)
    learning_rate: float = Field(0.05, gt=0, le=1)
    iterations: int = Field(200, ge=1)
    loss: str = Field("RMSE", description="such as RMSE, MAE, Quantile:alpha=0.9")


@model_registry.register("ml.catboost")
class CatBoost(TreeModel):
    """Boosted symmetric trees by CatBoost: the prediction is a bias and one leaf of each tree, in the target's unit.

    Parameters
    ----------
    depth, learning_rate, iterations
        As `catboost.CatBoostRegressor` has them.
    loss
        Its `loss_function`: RMSE, MAE, MAPE, Quantile, Huber, Expectile, Lq or LogCosh, with its parameters behind a
        colon.
    early_stopping_rounds
        With validation rows: stop when their loss has not fallen for so many trees, and keep those up to the best.
    seed
        Makes training repeatable.
    extra
        Any other parameter of `CatBoostRegressor`: ``{"l2_leaf_reg": 5}``; those about columns name them:
        ``{"monotone_constraints": {"rsi": 1}, "ignored_features": ["atr"]}``.
        Training uses one thread, so that its result does not depend on the machine's cores; ``{"thread_count": 8}`` is
        faster.

    Notes
    -----
    Training is CatBoost's; predictions come from a compiled loop over the trees (`plugins.models.trees.oblivious`),
    equal to `CatBoostRegressor.predict` to the last bit, in any batch, without the library. A NaN in a row is a
    missing value, which counts as CatBoost's `nan_mode` says; a row is never refused for it. The file is CatBoost's
    own cbm (`load_model` reads it), with the names of the columns in its metadata ``alphawire_columns``, and without
    the time and the random name that CatBoost gives to each training: towards the library the columns are called f0,
    f1, ….

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    L. Prokhorenkova et al., CatBoost: Unbiased Boosting with Categorical Features, NeurIPS 2018.
    """

    Params = CatBoostParams
    packages = {"catboost": "alphawire[boost]"}
    library = "CatBoost"
    file_name = "model.cbm"

    def fit(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        library = self.import_library("catboost")
        given = {name: self.params[ours] for name, ours in OWN.items() if name != "early_stopping_rounds"}
        given |= {"thread_count": 1} | self.extra(_names(library), OWN, REFUSED) | FIXED
        given |= {name: self.by_column(given[name], columns, name) for name in BY_COLUMN if name in given}
        names = list(numbered(columns).values())
        try:
            data, *valid = (
                library.Pool(each.x, each.y, feature_names=names) for each in (rows, validation) if each is not None
            )
            model = library.CatBoostRegressor(**given)
            told = [_Rounds(self.progress, given["iterations"])]
            if valid:
                rounds = self.params["early_stopping_rounds"]
                model.fit(data, eval_set=valid, use_best_model=True, early_stopping_rounds=rounds, callbacks=told)
            else:
                model.fit(data, callbacks=told)
        except (library.CatBoostError, ValueError, TypeError) as error:
            raise self.refused(error) from None
        return _file(model, columns)

    def read(self, data: bytes) -> tuple["ObliviousTrees", list[str]]:
        from plugins.models.trees.catboost_cbm import read_catboost  # and with it numba

        return read_catboost(data)


class _Rounds:
    """The library's callback that tells how far it is."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total = progress, total

    def after_iteration(self, info: Any) -> bool:
        if self._progress is not None:
            self._progress(info.iteration, self._total)
        return True  # goes on


def _file(model: Any, columns: list[str]) -> bytes:
    from plugins.models.trees.catboost_cbm import COLUMNS

    metadata = model.get_metadata()
    metadata[COLUMNS] = json.dumps(columns)
    for name in NEW_EACH_TIME:
        metadata[name] = ""
    with tempfile.TemporaryDirectory() as folder:
        model.save_model(str(Path(folder) / "model.cbm"))
        return (Path(folder) / "model.cbm").read_bytes()


def _names(library: Any) -> dict[str, str]:
    """The class's main name for each name of a parameter (``max_depth`` is ``depth``)."""
    names = [name for name in inspect.signature(library.CatBoostRegressor.__init__).parameters if name != "self"]
    return {name: name for name in names} | ALIASES
