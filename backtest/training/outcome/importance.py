"""How much each column weighs in a model: by its library's own gain, and by what is lost without it."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.training.fitting import predictions_of
from backtest.training.samples import Samples
from backtest.training.scores import Comparison, FloatArray
from plugins.base import BaseModel
from plugins.models.artifacts.per_symbol import PerSymbolModel

MOST_COLUMNS = 50
"""More columns are not tried one by one."""
MOST_NUMBERS = 20_000_000
"""Nor are rows and columns of more numbers: each trial copies them into memory."""


def permuted(
    model: BaseModel, samples: Samples, test: NDArray[np.bool_], predictions: FloatArray, mean: float
) -> dict[str, float]:
    """What the information coefficient of the rows `test` loses when a column's values are shuffled, by column.

    It holds for any model. The shuffles are seeded. Empty where there are too many columns or numbers to try each, and
    where there is no coefficient.
    """
    y = np.asarray(samples.y[test], np.float64)
    ones, columns = np.ones(len(y)), list(samples.X.columns)
    if len(columns) > MOST_COLUMNS or samples.X.size > MOST_NUMBERS:
        return {}
    if np.isnan(whole := Comparison(y, predictions, mean)(ones)[0]):
        return {}
    lost = {}
    for number, column in enumerate(columns):
        values = samples.X[column].to_numpy()
        shuffled = samples.X.assign(**{column: np.random.default_rng(number).permutation(values)})
        found = Comparison(y, predictions_of(model, replace(samples, X=shuffled), test), mean)(ones)[0]
        lost[str(column)] = float(whole - (0.0 if np.isnan(found) else found))
    return lost


def gain_of(model: BaseModel, columns: list[str]) -> dict[str, float]:
    """Each column's share of what the splits gained, as the model's library itself says of the file that it saves.

    Of LightGBM and XGBoost the total gain, of CatBoost the change of the prediction, of scikit-learn's forests the
    decrease of the squared error. Empty for other models, and for one model a symbol.
    """
    if isinstance(model, PerSymbolModel) or model.key not in _LIBRARIES:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / model.file_name
        model.save(file)
        gains = np.asarray(_LIBRARIES[model.key](file, len(columns)), np.float64)
    total = float(gains.sum())
    if not np.isfinite(total) or total <= 0.0:
        return {}
    return dict(zip(columns, (gains / total).tolist(), strict=True))


def _lightgbm(file: Path, _width: int) -> Any:
    import lightgbm

    return lightgbm.Booster(model_file=file).feature_importance("gain")


def _xgboost(file: Path, width: int) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(file)
    gains = booster.get_score(importance_type="total_gain")
    return [gains.get(name, 0.0) for name in booster.feature_names or map("f{}".format, range(width))]


def _catboost(file: Path, _width: int) -> Any:
    import catboost

    return catboost.CatBoost().load_model(str(file)).get_feature_importance()


def _random_forest(file: Path, _width: int) -> Any:
    from skops import io

    return io.load(file, trusted=io.get_untrusted_types(file=file)).feature_importances_


_LIBRARIES: dict[str, Callable[[Path, int], Any]] = {
    "ml.lightgbm": _lightgbm,
    "ml.xgboost": _xgboost,
    "ml.catboost": _catboost,
    "ml.random_forest": _random_forest,
}
