"""A model in one file: `alphawire train STRATEGY --plugins examples/plugins/ridge.py …`."""

from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd
from plugins.columns import column_fault
from pydantic import Field
from sklearn.linear_model import Ridge as SklearnRidge

from plugins.base import Params
from plugins.models import BaseModel, model_registry
from schemas.errors import ArtifactError, PluginError


class RidgeParams(Params):
    alpha: float = Field(1.0, ge=0, description="weight of the penalty on the squared coefficients")


@model_registry.register("ml.ridge")
class Ridge(BaseModel):
    """Linear regression with a penalty on squared coefficients, by scikit-learn.

    Parameters
    ----------
    alpha
        Weight of the penalty; 0 is ordinary least squares. It counts in the columns' own units.

    Notes
    -----
    A row with a NaN is left out of the training, and its prediction is NaN. The file is a joblib pickle, and loading
    one runs what is in it: hence `trusted_only`, and ``trusted: true`` in the configuration. Raises `PluginError` for
    other columns than those of the training, by name, and before training or loading.

    References
    ----------
    ``sklearn.linear_model.Ridge``.
    """

    Params = RidgeParams
    trusted_only = True
    batch_invariant = True
    file_name = "model.joblib"
    cost = "fast"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.columns: list[str] = []
        self._fitted: Any = None

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self:  # noqa: N803
        rows, target = X.to_numpy(np.float64), np.asarray(y, np.float64)
        known = np.isfinite(rows).all(axis=1) & np.isfinite(target)
        if not known.any():
            raise PluginError(
                "ml.ridge: there is no row without NaN to train on; give more bars than the features need"
            )
        self._fitted = SklearnRidge(alpha=self.params["alpha"]).fit(rows[known], target[known])
        self.columns = [str(name) for name in X.columns]
        return self

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        self._check_ready()
        columns = [str(name) for name in X.columns]
        if columns != self.columns:
            raise PluginError(f"ml.ridge: other columns than in training: {column_fault(columns, self.columns)}")
        # Added column by column, a row's bits do not depend on the rows around it, as they do in a matrix product.
        total = np.full(len(X), self._fitted.intercept_)
        for name, coefficient in zip(X.columns, self._fitted.coef_, strict=True):
            total += coefficient * X[name].to_numpy(np.float64)
        return pd.Series(total, X.index, name="prediction")

    def save(self, path: str | Path) -> None:
        self._check_ready()
        joblib.dump({"columns": self.columns, "model": self._fitted}, path)

    def load(self, path: str | Path) -> Self:
        try:
            stored = joblib.load(path)
            self.columns, self._fitted = stored["columns"], stored["model"]
        except Exception as error:  # a damaged pickle raises anything
            raise ArtifactError(f"{path}: cannot be read as a ridge model: {error}") from None
        return self

    def _check_ready(self) -> None:
        if self._fitted is None:
            raise PluginError("ml.ridge: there is no model yet; call train or load first")
