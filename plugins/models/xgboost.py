"""`ml.xgboost`."""

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from plugins.models import model_registry
from plugins.models.trees.model import BoostedParams, Rows, TreeModel, numbered

if TYPE_CHECKING:
    from plugins.models.trees.arrays import Trees

OWN = {
    "max_depth": "max_depth",
    "learning_rate": "learning_rate",
    "n_estimators": "n_estimators",
    "random_state": "seed",
    "early_stopping_rounds": "early_stopping_rounds",
}
ALIASES = {
    "eta": "learning_rate", "num_boost_round": "n_estimators", "seed": "random_state", "nthread": "n_jobs",
    "lambda": "reg_lambda", "alpha": "reg_alpha", "min_split_loss": "gamma",
}  # fmt: skip
BY_COLUMN = ("monotone_constraints", "interaction_constraints")
"""Parameters that name columns."""
NATIVE = ("huber_slope", "quantile_alpha", "max_cached_hist_node", "refresh_leaf", "seed_per_iteration", "updater")
"""Parameters of the booster that the class takes as keywords without naming them."""
REFUSED = dict.fromkeys(
    ("device", "validate_parameters", "verbosity", "missing"), "is fixed, so that training can be repeated"
) | dict.fromkeys(
    ("callbacks", "enable_categorical", "feature_types", "feature_weights", "importance_type", "kwargs"),
    "is not supported",
)


class XGBoostParams(BoostedParams):
    max_depth: int = Field(6, ge=1, le=64)
    learning_rate: float = Field(0.05, gt=0)
    n_estimators: int = Field(200, ge=1)


@model_registry.register("ml.xgboost")
class XGBoost(TreeModel):
    """Gradient-boosted trees by XGBoost: the prediction is a base score and a leaf of each tree, in the target's unit.

    Parameters
    ----------
    max_depth, learning_rate, n_estimators
        As `xgboost.XGBRegressor` has them.
    early_stopping_rounds
        With validation rows: stop when their loss has not fallen for so many trees, and keep those up to the best.
    seed
        Makes training repeatable.
    extra
        Any other parameter of `XGBRegressor`: ``{"subsample": 0.8, "reg_lambda": 2.0}``; constraints name columns:
        ``{"monotone_constraints": {"rsi": 1}, "interaction_constraints": [["rsi", "atr"]]}``.
        Training uses one thread, so that its result does not depend on the machine's cores; ``{"n_jobs": 8}`` is
        faster.

    Notes
    -----
    Training is XGBoost's; predictions come from a compiled loop over the trees (`plugins.models.trees.arrays`) in the
    library's own arithmetic of 32 bits, equal to `Booster.predict` to the last bit, in any batch, without the library.
    A NaN in a row is a missing value, which the trees learned a side for; a row is never refused for it. An infinite
    value, or one too large for 32 bits, is above (below) all thresholds. The file is XGBoost's own UBJSON
    (``Booster(model_file=…)`` reads it), with the names of the columns in the attribute ``alphawire_columns``: towards
    the library they are called f0, f1, ….

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    T. Chen and C. Guestrin, XGBoost: A Scalable Tree Boosting System, KDD 2016.
    """

    Params = XGBoostParams
    packages = {"xgboost": "alphawire[boost]"}
    library = "XGBoost"
    file_name = "model.ubj"

    def fit(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        from plugins.models.trees.xgboost_ubjson import COLUMNS

        library = self.import_library("xgboost")
        given = {"objective": "reg:squarederror", "n_jobs": 1} | self.extra(_names(library), OWN, REFUSED)
        given |= {name: self.params[OWN[name]] for name in ("max_depth", "learning_rate", "random_state")}
        given |= {"verbosity": 0, "device": "cpu"}
        given |= {name: _constraints(self.by_column(given[name], columns, name)) for name in BY_COLUMN if name in given}
        names = list(numbered(columns).values())
        try:
            data, *valid = (
                library.DMatrix(each.x, each.y, feature_names=names, nthread=given["n_jobs"])
                for each in (rows, validation)
                if each is not None
            )
            booster = library.train(
                given, data, self.params["n_estimators"], evals=[(each, "validation") for each in valid],
                early_stopping_rounds=self.params["early_stopping_rounds"] if valid else None, verbose_eval=False,
                callbacks=[_rounds(library, self.progress, self.params["n_estimators"])],
            )  # fmt: skip
        except (library.core.XGBoostError, ValueError, TypeError) as error:
            raise self.refused(_first_line(error)) from None
        if valid:
            booster = booster[: booster.best_iteration + 1]
        booster.set_attr(**{COLUMNS: json.dumps(columns)})
        return bytes(booster.save_raw("ubj"))

    def read(self, data: bytes) -> tuple["Trees", list[str]]:
        from plugins.models.trees.xgboost_ubjson import read_xgboost  # and with it numba

        return read_xgboost(data)


def _rounds(library: Any, progress: Callable[[int, int], None] | None, total: int) -> Any:
    """The library's callback that tells how far it is."""

    class Rounds(library.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if progress is not None:
                progress(epoch + 1, total)
            return False  # goes on

    return Rounds()


def _constraints(value: Any) -> Any:
    """A list of signs is a tuple to XGBoost, and a text in its own notation stays one."""
    return tuple(value) if isinstance(value, list) and not any(isinstance(each, list) for each in value) else value


def _names(library: Any) -> dict[str, str]:
    """The class's name for each name of a parameter (``eta`` is ``learning_rate``)."""
    main = [name for name in inspect.signature(library.XGBModel.__init__).parameters if name != "self"]
    return {name: name for name in [*main, *NATIVE]} | ALIASES


def _first_line(error: Exception) -> Exception:
    """Without the C++ stack that the library's message ends with, and the place in its source that it begins with."""
    line = str(error).split("Stack trace")[0].strip()
    return type(error)(line.partition(": ")[2] if line.startswith("[") else line)
