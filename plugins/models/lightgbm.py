"""`ml.lightgbm`."""

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from plugins.models import model_registry
from plugins.models.trees.model import BoostedParams, Rows, TreeModel, names_in, numbered
from schemas.errors import ArtifactError

if TYPE_CHECKING:
    from plugins.models.trees.arrays import Trees

COLUMNS = "alphawire_columns:"
"""Begins the line of the model's file that holds the names of the columns, as JSON; the library skips it."""
OWN = {
    "num_leaves": "num_leaves",
    "learning_rate": "learning_rate",
    "num_iterations": "n_estimators",
    "min_data_in_leaf": "min_child_samples",
    "seed": "seed",
    "early_stopping_round": "early_stopping_rounds",
}
BY_COLUMN = {"monotone_constraints": 0, "feature_contri": 1.0, "interaction_constraints": None}
"""Parameters about columns, and what holds for one that is not named."""
FIXED = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
REFUSED = dict.fromkeys([*FIXED, "force_col_wise"], "is fixed, so that training can be repeated")


class LightGBMParams(BoostedParams):
    num_leaves: int = Field(31, ge=2, le=131_072)
    learning_rate: float = Field(0.05, gt=0)
    n_estimators: int = Field(200, ge=1)
    min_child_samples: int = Field(20, ge=1)


@model_registry.register("ml.lightgbm")
class LightGBM(TreeModel):
    """Gradient-boosted trees by LightGBM: the prediction is the sum of one leaf of each tree, in the target's unit.

    Parameters
    ----------
    num_leaves, learning_rate, n_estimators, min_child_samples
        As `lightgbm.LGBMRegressor` has them.
    early_stopping_rounds
        With validation rows: stop when their loss has not fallen for so many trees, and keep those up to the best.
    seed
        Makes training repeatable.
    extra
        Any other parameter of `LGBMRegressor`, by any of its names: ``{"max_depth": 6, "reg_lambda": 1.0}``;
        ``categorical_feature`` is a list of columns, by name or number, and constraints may name columns, too:
        ``{"monotone_constraints": {"rsi": 1}, "interaction_constraints": [["rsi"], ["atr"]]}``.
        Training uses one thread, so that its result does not depend on the machine's cores; ``{"num_threads": 8}`` is
        faster.

    Notes
    -----
    Training is LightGBM's; predictions come from a compiled loop over the trees (`plugins.models.trees.arrays`), equal
    to `Booster.predict` to the last bit, in any batch, without the library. A NaN in a row is a missing value, which
    the trees learned a side for; a row is never refused for it. The file is LightGBM's own text
    (``Booster(model_file=…)`` reads it) with one more line that holds the names of the columns: towards the library
    they are called f0, f1, …, since it refuses names such as tsfresh's.

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    G. Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NIPS 2017.
    """

    Params = LightGBMParams
    packages = {"lightgbm": "alphawire[boost]"}
    library = "LightGBM"
    file_name = "model.txt"

    def fit(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        library, params = self.import_library("lightgbm"), self.params
        given = {name: params[ours] for name, ours in OWN.items()}
        if validation is None:
            del given["early_stopping_round"]
        given |= {"objective": "regression", "num_threads": 1} | self.extra(_names(library), OWN, REFUSED) | FIXED
        names = numbered(columns)
        categories = [names.get(column, column) for column in given.pop("categorical_feature", [])]
        given |= {name: self._in_places(given[name], columns, name) for name in BY_COLUMN if name in given}
        try:
            data = library.Dataset(
                rows.x, rows.y, feature_name=list(names.values()), params=given, categorical_feature=categories
            )
            valid = [] if validation is None else [library.Dataset(validation.x, validation.y, reference=data)]
            trained = library.train(given, data, valid_sets=valid, callbacks=[self._tell])
            text: str = trained.model_to_string()
        except (library.basic.LightGBMError, ValueError, TypeError) as error:
            raise self.refused(error) from None
        model, key, rest = text.rpartition("pandas_categorical:")
        return f"{model}{COLUMNS}{json.dumps(columns)}\n{key}{rest}".encode()

    def _tell(self, env: Any) -> None:
        if self.progress is not None:
            self.progress(env.iteration + 1, env.end_iteration)

    def _in_places(self, value: Any, columns: list[str], parameter: str) -> Any:
        """The library takes a value for each column in turn, and groups of columns by number: a name it reads as 0."""
        named = self.by_column(value, columns, parameter)
        if isinstance(named, dict):
            return [named.get(name, BY_COLUMN[parameter]) for name in numbered(columns).values()]
        numbers = {name: place for place, name in enumerate(numbered(columns).values())}
        return [[numbers.get(name, name) for name in group] if isinstance(group, list) else group for group in named]

    def read(self, data: bytes) -> tuple["Trees", list[str]]:
        from plugins.models.trees.lightgbm_text import read_lightgbm  # and with it numba

        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ArtifactError(f"cannot be read as a LightGBM model: {error}") from None
        before, key, after = text.rpartition(f"\n{COLUMNS}")
        line, _, rest = after.partition("\n")
        columns = names_in(line if key else None, f"a line {COLUMNS}[…]")
        return read_lightgbm(f"{before}\n{rest}"), columns


def _names(library: Any) -> dict[str, str]:
    """LightGBM's name for each name that it knows (``reg_lambda`` is ``lambda_l2``)."""
    aliases = library.basic._ConfigAliases
    aliases.get("seed")  # has the library say what it knows
    return {alias: name for name, names in aliases.aliases.items() for alias in (name, *names)}
