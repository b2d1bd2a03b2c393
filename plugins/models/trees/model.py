"""What the plugins of all tree models share: columns, matrices, files, and the checks before a library is called."""

import difflib
import importlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from pydantic import Field

from plugins.base import BaseModel, FloatArray, Params, name_of
from plugins.base.columns import column_fault
from schemas.errors import ArtifactError, PluginError

LARGEST_SINGLE = float(np.finfo(np.float32).max)
"""The largest number of 32 bits, in which the libraries train."""


class BoostedParams(Params):
    """What all boosted models have beside their own."""

    early_stopping_rounds: int | None = Field(
        None, ge=1, description="trees without a gain on validation rows after which to stop, where there are such rows"
    )
    seed: int = Field(42, ge=0, le=2**31 - 1)
    extra: dict[str, Any] = Field({}, description="further parameters of the library's class, by any name it knows")


class CompiledTrees(Protocol):
    @property
    def width(self) -> int: ...

    def predict(self, rows: FloatArray) -> FloatArray: ...


@dataclass(frozen=True)
class Rows:
    """What a model learns from, or is validated on."""

    x: FloatArray
    y: FloatArray


class TreeModel(BaseModel):
    """A model of trees: a library trains it, and a compiled loop over the arrays of its file serves it.

    A subclass defines how its library makes the bytes of the model's file (`fit`) and how they are read (`read`): a
    trained model has gone through both, so it is what will be loaded.
    """

    library: ClassVar[str]
    """What its library is called."""
    batch_invariant = True
    cost = "fast"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.columns: list[str] = []
        self._data = b""
        self._trees: CompiledTrees | None = None

    @abstractmethod
    def fit(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        """Train, and return the model's file with the names of the columns in it.

        `validation` is given only where `early_stopping_rounds` is set. Raises `PluginError` with the library's words
        when it refuses.
        """

    @abstractmethod
    def read(self, data: bytes) -> tuple[CompiledTrees, list[str]]:
        """The trees and the names of the columns in a file; `ArtifactError` for one that is damaged or not served."""

    def train(self, X: pd.DataFrame, y: "pd.Series[float]") -> Self:  # noqa: N803
        columns = self._columns_of(X)
        self._accept(self._fitted(self._rows(X, y), columns, None))
        return self

    def train_with_validation(
        self, X: pd.DataFrame, y: "pd.Series[float]", X_valid: pd.DataFrame, y_valid: "pd.Series[float]"  # noqa: N803
    ) -> Self:  # fmt: skip
        """`train`, but stops when the loss on the validation rows has not fallen for `early_stopping_rounds` trees, and
        keeps the trees up to the best. Without that parameter it is `train`.
        """
        if self.params.get("early_stopping_rounds") is None:
            return self.train(X, y)
        columns = self._columns_of(X)
        if fault := column_fault(self._columns_of(X_valid), columns):
            raise PluginError(f"{name_of(self)}: the validation rows have other columns: {fault}")
        validation = Rows(self.matrix(X_valid), self._target(X_valid, y_valid))
        self._accept(self._fitted(self._rows(X, y), columns, validation))
        return self

    def _fitted(self, rows: Rows, columns: list[str], validation: Rows | None) -> bytes:
        """`fit`; a refusal names the columns whose values the library cannot take, which its own words do not."""
        try:
            return self.fit(rows, columns, validation)
        except PluginError as error:
            beyond = np.flatnonzero((np.abs(rows.x) > LARGEST_SINGLE).any(axis=0))
            names = [columns[place] for place in beyond.tolist()]
            if not names:
                raise
            raise PluginError(f"{error} (infinite or beyond 32 bits: {', '.join(names[:8])})") from None

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        predicted = self.predict_rows(self.matrix(X), [str(name) for name in X.columns])
        return pd.Series(predicted, X.index, name="prediction")

    def predict_rows(self, rows: FloatArray, columns: list[str]) -> FloatArray:
        trees = self._ready()
        if columns != self.columns:
            fault = column_fault(columns, self.columns)
            raise PluginError(f"{name_of(self)}: other columns than in training: {fault}")
        return trees.predict(rows)

    def save(self, path: str | Path) -> None:
        self._ready()
        Path(path).write_bytes(self._data)

    def load(self, path: str | Path) -> Self:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None
        try:
            self._accept(data)
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from None
        return self

    def matrix(self, data: pd.DataFrame) -> FloatArray:
        """The values of `data`; `PluginError` names columns that hold no numbers."""
        try:
            return data.to_numpy(np.float64)
        except (ValueError, TypeError):
            other = [str(name) for name, dtype in data.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
            raise PluginError(f"{name_of(self)}: columns that hold no numbers: {', '.join(other)}") from None

    def refused(self, error: Exception) -> PluginError:
        """The library's refusal to train as one line."""
        return PluginError(f"{name_of(self)}: {self.library} refuses to train: {' '.join(str(error).split())}")

    def extra(
        self, names: Mapping[str, str], own: Mapping[str, str], refused: Mapping[str, str]
    ) -> dict[str, Any]:  # fmt: skip
        """The parameter `extra` by the library's main names.

        Parameters
        ----------
        names
            Every name that the library knows, with the main one.
        own
            Main names that are parameters of the plugin, with those.
        refused
            Main names that cannot be given, with the reason.
        """
        extra: dict[str, Any] = {}
        for name, value in self.params["extra"].items():
            known = names.get(name)
            if known is None:
                near = difflib.get_close_matches(name, names, n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise self._extra_fault(f"{self.library} knows no parameter {name!r}{hint}")
            if known in own:
                raise self._extra_fault(f"{name!r} is the parameter {own[known]}; give it there")
            if known in refused:
                raise self._extra_fault(f"{name!r} {refused[known]}")
            if known in extra:
                raise self._extra_fault(f"{known!r} is given twice, by two of its names")
            extra[known] = value
        return extra

    def by_column(self, value: Any, columns: list[str], parameter: str) -> Any:
        """`value` of a parameter that names columns, by the names that the library knows (see `numbered`): keys of a
        mapping, texts in (nested) lists; a text is the library's own notation, by its numbers of columns. `PluginError`
        for a column that the model is not trained on.
        """
        names = numbered(columns)

        def name(column: Any) -> Any:
            if not isinstance(column, str):
                return column
            if column not in names:
                raise self._extra_fault(f"{parameter!r} names {column!r}; there are: {', '.join(columns[:20])}")
            return names[column]

        def of(part: Any) -> Any:
            if isinstance(part, Mapping):
                return {name(column): each for column, each in part.items()}
            return [of(each) for each in part] if isinstance(part, list | tuple) else name(part)

        return value if isinstance(value, str) else of(value)

    def import_library(self, module: str) -> Any:
        """The library `module`, or `PluginError` with what to install."""
        try:
            return importlib.import_module(module)
        except ImportError:
            install = self.packages[module]
            raise PluginError(f"{name_of(self)}: training needs {self.library}: pip install '{install}'") from None
        except OSError as error:  # a wheel may leave OpenMP to the system
            raise PluginError(
                f"{name_of(self)}: {self.library} needs OpenMP of the system, install it with "
                f"`apt-get install libgomp1` ({error})"
            ) from None

    def _extra_fault(self, fault: str) -> PluginError:
        return PluginError(f"{name_of(self)}: extra: {fault}")

    def _columns_of(self, data: pd.DataFrame) -> list[str]:
        columns = [str(name) for name in data.columns]
        if fault := column_fault(columns, list(dict.fromkeys(columns))):
            raise PluginError(f"{name_of(self)}: {fault}; name each column once")
        if not columns:
            raise PluginError(f"{name_of(self)}: there are no columns to learn from; name features")
        return columns

    def _rows(self, data: pd.DataFrame, y: "pd.Series[float]") -> Rows:
        target = self._target(data, y)
        if (target == target[0]).all():
            raise PluginError(
                f"{name_of(self)}: the target is {target[0]:g} in all {len(target)} rows, so there is nothing to learn"
            )
        return Rows(self.matrix(data), target)

    def _target(self, data: pd.DataFrame, y: "pd.Series[float]") -> FloatArray:
        target = np.asarray(y, np.float64)
        if len(data) != len(target) or not len(data) or not np.isfinite(target).all():
            finite = np.isfinite(target).sum()
            raise PluginError(
                f"{name_of(self)}: {len(data)} rows and {finite} finite targets; give one for each"
            )  # fmt: skip
        return target

    def _accept(self, data: bytes) -> None:
        trees, columns = self.read(data)
        if trees.width != len(columns):
            raise ArtifactError(f"the trees read {trees.width} columns, and {len(columns)} are named")
        self._data, self._trees, self.columns = data, trees, columns

    def _ready(self) -> CompiledTrees:
        if self._trees is None:
            raise PluginError(f"{name_of(self)}: there is no model yet; call train or load first")
        return self._trees


def numbered(columns: list[str]) -> dict[str, str]:
    """Columns as they are called towards a library: f0, f1, …, since LightGBM refuses names such as tsfresh's."""
    return {column: f"f{i}" for i, column in enumerate(columns)}


def names_in(text: str | None, where: str) -> list[str]:
    """The names of the columns from their JSON in a model's file; `ArtifactError` when there are none."""
    try:
        columns = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        columns = None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ArtifactError(f"does not say its columns ({where}); train it with alphawire")
    return columns
