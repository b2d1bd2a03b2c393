"""Models, clean and faulty."""
# ruff: noqa: N803  (X is what the base class calls it)

import json
import os
import pickle
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from plugins.base import BaseModel, Params
from plugins.base.columns import column_fault
from schemas.errors import PluginError
from tests.plugins.conformance.table import clean, faulty

LEVEL = Path(tempfile.gettempdir()) / f"conformance_level_{os.getuid()}.txt"


class Linear(BaseModel):
    """Least squares, added up column by column, saved as JSON."""

    batch_invariant = True
    coefficients: list[float] | None = None
    columns: list[str] | None = None

    def train(self, X, y):
        rows = np.column_stack([np.ones(len(X)), X.to_numpy(float)])
        self.coefficients = np.linalg.lstsq(rows, np.asarray(y, float))[0].tolist()
        self.columns = list(X.columns)
        return self

    def check(self, X):
        if self.coefficients is None:
            raise PluginError("there is no model yet; call train or load first")
        if fault := column_fault(list(X.columns), self.columns):
            raise PluginError(f"other columns than in training: {fault}")

    def predict(self, X):
        self.check(X)
        total = np.full(len(X), self.coefficients[0])
        for name, coefficient in zip(self.columns, self.coefficients[1:], strict=True):
            total += coefficient * X[name].to_numpy(float)
        return pd.Series(total, X.index)

    def save(self, path):
        if self.coefficients is None:
            raise PluginError("there is no model yet; call train or load first")
        Path(path).write_text(json.dumps([self.columns, self.coefficients]))

    def load(self, path):
        self.columns, self.coefficients = json.loads(Path(path).read_text())
        return self


class Fitted(BaseModel):
    """Whatever scikit-learn fits, saved with joblib."""

    trusted_only = True
    model = None

    def make(self):
        return Ridge()

    def train(self, X, y):
        self.columns = list(X.columns)
        self.model = self.make().fit(X.to_numpy(float), np.asarray(y, float))
        return self

    def predict(self, X):
        if self.model is None:
            raise PluginError("there is no model yet; call train or load first")
        if fault := column_fault(list(X.columns), self.columns):
            raise PluginError(f"other columns than in training: {fault}")
        known = X.notna().all(axis=1).to_numpy()
        found = np.full(len(X), np.nan)
        if known.any():
            found[known] = self.model.predict(X.to_numpy(float)[known])
        return pd.Series(found, X.index)

    def save(self, path):
        if self.model is None:
            raise PluginError("there is no model yet; call train or load first")
        joblib.dump([self.columns, self.model], path)

    def load(self, path):
        self.columns, self.model = joblib.load(path)
        return self


@clean
class ColumnByColumn(Linear):
    pass


@clean
class Constant(Linear):
    """The mean of the target; NaN where the row has a hole."""

    def train(self, X, y):
        self.columns, self.coefficients = list(X.columns), [float(np.mean(y)), *[0.0] * X.shape[1]]
        return self


@clean
class MatrixProduct(Fitted):
    """Differs in the last bits from batch to batch, and does not claim otherwise."""


@clean
class Forest(Fitted):
    def make(self):
        return RandomForestRegressor(20, random_state=42, n_jobs=1)


@clean
class Neighbours(Fitted):
    def make(self):
        return KNeighborsRegressor(5)


@clean
class Tree(Fitted):
    batch_invariant = True

    def make(self):
        return DecisionTreeRegressor(max_depth=4, random_state=0)


@clean
class Sequence(Linear):
    """The mean of the linear predictions of a symbol's last three rows."""

    lookback = 3

    def predict(self, X):
        single = super().predict(X)
        lags = [single.groupby(level=0).shift(lag) for lag in range(3)]
        return (lags[0] + lags[1] + lags[2]) / 3.0


@faulty("batch_invariant")
class ClaimsTooMuch(Linear):
    """A matrix product: its last bits depend on the rows around."""

    def predict(self, X):
        self.check(X)
        return pd.Series(X.to_numpy(float) @ np.array(self.coefficients[1:]) + self.coefficients[0], X.index)


@faulty("batch_invariant")
class ScalesByBatch(Linear):
    def predict(self, X):
        found = super().predict(X)
        return found - found.mean()


@faulty("batch_invariant")
class ChangesWithCalls(Linear):
    batch_invariant = False
    calls = 0

    def predict(self, X):
        self.calls += 1
        return super().predict(X) + 1e-9 * self.calls


@faulty("refuses_before_training")
class ZeroBeforeTraining(Linear):
    def predict(self, X):
        return super().predict(X) if self.coefficients else pd.Series(0.0, X.index)


@faulty("refuses_before_training")
class SaysNothing(Fitted):
    def predict(self, X):
        if self.model is not None:
            return super().predict(X)
        return pd.Series(self.model.predict(X.to_numpy(float)), X.index)


@faulty("save_load")
class PicklesUntold(Fitted):
    trusted_only = False


@faulty("save_load")
class PlainPickle(Linear):
    def save(self, path):
        if self.coefficients is None:
            raise PluginError("there is no model yet")
        Path(path).write_bytes(pickle.dumps(self))

    def load(self, path):
        vars(self).update(vars(pickle.loads(Path(path).read_bytes())))
        return self


@faulty("save_load")
class Rounded(Linear):
    def save(self, path):
        if self.coefficients is None:
            raise PluginError("there is no model yet")
        Path(path).write_text(json.dumps([self.columns, [round(c, 6) for c in self.coefficients]]))


@faulty("save_load")
class NotSaved(BaseModel):
    def train(self, X, y):
        self.mean = float(np.mean(y))

    def predict(self, X):
        if not hasattr(self, "mean"):
            raise PluginError("there is no model yet")
        return pd.Series(self.mean, X.index)


@faulty("save_load")
class TwoFiles(Linear):
    def save(self, path):
        super().save(path)
        Path(f"{path}.json").write_text("{}")


@faulty("columns_enforced")
class AnyColumns(Fitted):
    def predict(self, X):
        if self.model is None:
            raise PluginError("there is no model yet")
        return pd.Series(self.model.predict(np.nan_to_num(X.to_numpy(float))), X.index)


@faulty("columns_enforced")
class Reorders(Linear):
    def predict(self, X):
        if self.coefficients is None:
            raise PluginError("there is no model yet")
        return super().predict(X[self.columns])


@faulty("target_unseen")
class LooksUpTarget(Linear):
    """Remembers the targets, and finds them by the index."""

    def train(self, X, y):
        self.target = pd.Series(np.asarray(y), X.index)
        return super().train(X, y)

    def predict(self, X):
        found = super().predict(X)
        known = X.index.isin(self.target.index) if hasattr(self, "target") else np.zeros(len(X), bool)
        found[known] = self.target.reindex(X.index[known]).to_numpy()
        return found


@faulty("target_unseen")
class LearnsOn(Fitted):
    """A second training goes on where the first one ended."""

    def train(self, X, y):
        self.columns = list(X.columns)
        self.model = self.model or SGDRegressor(random_state=0)
        self.model.partial_fit((X.to_numpy(float) - [50, 1, 0, 0]) / [15, 0.5, 0.01, 1], np.asarray(y, float))
        return self


@faulty("shared_state")
class OnTheClass(Linear):
    def train(self, X, y):
        super().train(X, y)
        type(self).coefficients = self.__dict__.pop("coefficients")
        return self


@faulty("repeatable")
class Unseeded(Fitted):
    def make(self):
        return RandomForestRegressor(5)


@faulty("computes")
class ReturnsArray(Linear):
    def predict(self, X):
        return super().predict(X).to_numpy()


@faulty("computes")
class OwnIndex(Linear):
    def predict(self, X):
        return super().predict(X).reset_index(drop=True)


@faulty("input_untouched")
class FillsInPlace(Linear):
    def predict(self, X):
        self.check(X)
        X["rsi"] = X["rsi"] - 50.0
        return super().predict(X)


@faulty("missing_values")
class NoHoles(Linear):
    def predict(self, X):
        self.check(X)
        if X.isna().any().any():
            raise ValueError("Input X contains NaN")
        return super().predict(X)


@faulty("missing_values")
class FilledWithMean(Linear):
    """A hole gets the batch's mean, and then an infinite weight."""

    def predict(self, X):
        found = super().predict(X)
        return found.fillna(np.inf)


@faulty("reads_its_input_alone")
class LevelFromAFile(Linear):
    """The level of today's rates, from a file."""

    def predict(self, X):
        LEVEL.write_text("0.0")
        return super().predict(X) + float(LEVEL.read_text())


@faulty("parameters")
class AnyDepth(Fitted):
    """A limit of its own would be clearer than what scikit-learn says."""

    class Params(Params):
        leaves: int = 8

    def make(self):
        return DecisionTreeRegressor(max_leaf_nodes=self.params["leaves"], random_state=0)


@faulty("speed")
class CompiledItSays(Fitted):
    cost = "compiled"
