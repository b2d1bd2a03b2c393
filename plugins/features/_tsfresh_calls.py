"""tsfresh, called on one window at a time."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from plugins.base import FloatArray
from plugins.base.streaming import trial_bars
from schemas.errors import PluginError

KEY = "automated.tsfresh"


class Extraction:
    """Values of tsfresh's features for a window, always the same ones in the same order.

    `what` is the name of one of its sets, or a list of names of features. The names of a set are those that tsfresh
    gives for a generated window: they depend on its parameters, never on the values.
    """

    def __init__(self, column: str, what: str | Sequence[str], window: int) -> None:
        self._column = column
        trial = trial_bars(window)["close"]
        if isinstance(what, str):
            settings = _library("settings")
            parameters = getattr(settings, f"{what.title()}FCParameters")
            self._settings: dict[str, Any] = {"default_fc_parameters": parameters()}
            self.names = tuple(map(str, self._extract(trial).columns))
        else:
            prefix = f"{column}__"
            self.names = tuple(name if name.startswith(prefix) else prefix + name for name in what)
            self._settings = {"default_fc_parameters": {}, "kind_to_fc_parameters": self._parsed()}
            self._check(list(self._extract(trial).columns))

    def __call__(self, window: FloatArray) -> FloatArray:
        values = self._extract(window).reindex(columns=list(self.names)).iloc[0]
        return values.to_numpy(np.float64, na_value=np.nan)

    def _extract(self, window: FloatArray) -> pd.DataFrame:
        frame = pd.DataFrame({"id": 0, "sort": np.arange(len(window)), self._column: window})
        extract: Any = _library("extraction").extract_features
        result: pd.DataFrame = extract(
            frame, column_id="id", column_sort="sort", n_jobs=0, disable_progressbar=True, **self._settings
        )
        return result

    def _parsed(self) -> Any:
        """The names as tsfresh's settings."""
        calculators = _library("feature_calculators")
        for name in self.names:
            calculator = name.removeprefix(f"{self._column}__").partition("__")[0]
            if not hasattr(getattr(calculators, calculator, None), "fctype"):
                known = [known for known, value in vars(calculators).items() if hasattr(value, "fctype")]
                raise PluginError(_unknown(name, difflib.get_close_matches(calculator, known, 3)))
        try:
            return _library("settings").from_columns(list(self.names))
        except Exception as error:  # whatever a name's parameters make of its parser
            raise PluginError(f"{KEY}: tsfresh cannot read the names in `features`: {error}") from None

    def _check(self, given: Sequence[str]) -> None:
        if len(set(self.names)) < len(self.names):
            raise PluginError(f"{KEY}: `features` names one twice")
        for name in self.names:
            if name not in given:
                raise PluginError(_unknown(name, difflib.get_close_matches(name, given, 3)))


def _unknown(name: str, near: Sequence[str]) -> str:
    hint = f"did you mean {' or '.join(near)}?" if near else "its documentation lists them"
    return f"{KEY}: tsfresh has no feature {name!r}; {hint}"


def _library(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"tsfresh.feature_extraction.{module}")
    except ImportError as error:
        raise PluginError(f"{KEY}: {error}; pip install 'alphawire[tsfresh]' (`minimal` needs no tsfresh)") from None
