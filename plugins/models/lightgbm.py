"""`ml.lightgbm`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from pydantic import Field

from plugins.base import BaseModel, FloatArray, Params
from plugins.columns import column_fault
from plugins.models import model_registry
from schemas.errors import ArtifactError, PluginError

if TYPE_CHECKING:
    from plugins.trees import Trees

COLUMNS = "alphawire_columns:"
"""Begins the line of the model's file that holds the names of the columns, as JSON; the library skips it."""
OWN = {
    "num_leaves": "num_leaves",
    "learning_rate": "learning_rate",
    "num_iterations": "n_estimators",
    "min_data_in_leaf": "min_child_samples",
    "seed": "seed",
}
FIXED = {"deterministic": True, "force_row_wise": True, "verbosity": -1}


class LightGBMParams(Params):
    num_leaves: int = Field(31, ge=2, le=131_072)
    learning_rate: float = Field(0.05, gt=0)
    n_estimators: int = Field(200, ge=1)
    min_child_samples: int = Field(20, ge=1)
    seed: int = Field(42, ge=0, le=2**31 - 1)
    extra: dict[str, Any] = Field({}, description="further parameters of LGBMRegressor, by any name that it knows")


@model_registry.register("ml.lightgbm")
class LightGBM(BaseModel):
    """Gradient-boosted trees by LightGBM: the prediction is the sum of one leaf of each tree, in the target's unit.

    Parameters
    ----------
    num_leaves, learning_rate, n_estimators, min_child_samples
        As `lightgbm.LGBMRegressor` has them.
    seed
        Makes training repeatable.
    extra
        Any other parameter of `LGBMRegressor`, by any of its names: ``{"max_depth": 6, "reg_lambda": 1.0}``;
        ``categorical_feature`` is a list of columns, by name or number. Training uses one thread, so that its result
        does not depend on the machine's cores; ``{"num_threads": 8}`` is faster.

    Notes
    -----
    Training is LightGBM's; predictions come from a compiled loop over the trees (`plugins.trees`), equal to
    `Booster.predict` to the last bit, in any batch, without the library. A NaN in a row is a missing value, which the
    trees learned a side for; a row is never refused for it. The file is LightGBM's own text (``Booster(model_file=…)``
    reads it) with one more line that holds the names of the columns: towards the library they are called f0, f1, …,
    since it refuses names such as tsfresh's.

    Raises `PluginError` for other columns than those of the training, by name, and before training or loading.

    References
    ----------
    G. Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NIPS 2017.
    """

    Params = LightGBMParams
    packages = {"lightgbm": "alphawire[boost]"}
    batch_invariant = True
    file_name = "model.txt"
    cost = "fast"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.columns: list[str] = []
        self._text = ""
        self._trees: Trees | None = None

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self:  # noqa: N803
        columns = [str(name) for name in X.columns]
        rows, target = _matrix(X), np.asarray(y, np.float64)
        if len(set(columns)) < len(columns):
            raise PluginError(
                f"ml.lightgbm: {column_fault(columns, list(dict.fromkeys(columns)))}; name each column once"
            )
        if len(rows) != len(target) or not len(rows) or not np.isfinite(target).all():
            raise PluginError(
                f"ml.lightgbm: {len(rows)} rows and {np.isfinite(target).sum()} finite targets; give one for each"
            )
        self._accept(_boost(self.params, rows, target, columns), columns)
        return self

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        return pd.Series(self.predict_rows(_matrix(X), [str(name) for name in X.columns]), X.index, name="prediction")

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        trees = self._ready()
        if columns != self.columns:
            raise PluginError(f"ml.lightgbm: other columns than in training: {column_fault(columns, self.columns)}")
        return trees.predict(rows)

    def save(self, path: str | Path) -> None:
        self._ready()
        model, key, categories = self._text.rpartition("pandas_categorical:")
        text = f"{model}{COLUMNS}{json.dumps(self.columns)}\n{key}{categories}"
        Path(path).write_text(text, encoding="utf-8", newline="\n")

    def load(self, path: str | Path) -> Self:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path}: cannot be read as a LightGBM model: {error}") from None
        before, key, after = text.rpartition(f"\n{COLUMNS}")
        line, _, rest = after.partition("\n")
        try:
            columns = json.loads(line) if key else None
        except ValueError:
            columns = None
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise ArtifactError(f"{path}: does not say its columns (a line {COLUMNS}[…]); train it with alphawire")
        self._accept(f"{before}\n{rest}", columns)
        return self

    def _accept(self, text: str, columns: list[str]) -> None:
        from plugins.trees import read_lightgbm

        trees = read_lightgbm(text)
        if trees.width != len(columns):
            raise ArtifactError(f"the trees read {trees.width} columns, and {len(columns)} are named")
        self._text, self._trees, self.columns = text, trees, columns

    def _ready(self) -> "Trees":
        if self._trees is None:
            raise PluginError("ml.lightgbm: there is no model yet; call train or load first")
        return self._trees


def _matrix(data: pd.DataFrame) -> FloatArray:
    try:
        return data.to_numpy(np.float64)
    except (ValueError, TypeError):
        other = [str(name) for name, dtype in data.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
        raise PluginError(f"ml.lightgbm: columns that hold no numbers: {', '.join(other)}") from None


def _boost(params: dict[str, Any], rows: FloatArray, target: FloatArray, columns: list[str]) -> str:
    """Trains, and returns the model in LightGBM's text format."""
    library = _library()
    given = {name: params[ours] for name, ours in OWN.items()}
    given |= {"objective": "regression", "num_threads": 1} | _extra(library, params["extra"]) | FIXED
    names = {column: f"f{i}" for i, column in enumerate(columns)}
    categories = given.pop("categorical_feature", [])
    try:
        data = library.Dataset(
            rows, target, feature_name=list(names.values()), params=given,
            categorical_feature=[names.get(column, column) for column in categories],
        )  # fmt: skip
        text: str = library.train(given, data).model_to_string()
    except (library.basic.LightGBMError, ValueError, TypeError) as error:
        raise PluginError(f"ml.lightgbm: LightGBM refuses to train: {' '.join(str(error).split())}") from None
    return text


def _library() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise PluginError("ml.lightgbm: training needs LightGBM: pip install 'alphawire[boost]'") from None
    except OSError as error:  # the wheel leaves OpenMP to the system
        raise PluginError(
            f"ml.lightgbm: LightGBM needs OpenMP of the system, install it with `apt-get install libgomp1` ({error})"
        ) from None
    return lightgbm


def _extra(library: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """`extra` by LightGBM's main names (``reg_lambda`` is ``lambda_l2``); an unknown one raises `PluginError`."""
    aliases = library.basic._ConfigAliases
    aliases.get("seed")  # has the library say what it knows
    main = {alias: name for name, names in aliases.aliases.items() for alias in (name, *names)}
    found: dict[str, Any] = {}
    for name, value in extra.items():
        known = main.get(name)
        if known is None:
            import difflib

            near = difflib.get_close_matches(name, main, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise PluginError(f"ml.lightgbm: extra: LightGBM knows no parameter {name!r}{hint}")
        if known in OWN:
            raise PluginError(f"ml.lightgbm: extra: {name!r} is the parameter {OWN[known]}; give it there")
        if known in FIXED or known == "force_col_wise":
            raise PluginError(f"ml.lightgbm: extra: {name!r} is fixed, so that training can be repeated")
        if known in found:
            raise PluginError(f"ml.lightgbm: extra: {known!r} is given twice, by two of its names")
        found[known] = value
    return found
