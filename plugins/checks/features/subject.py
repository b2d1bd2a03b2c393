"""A feature under test: instances of it, and its columns for a frame, with every fault turned into a finding."""

import time
from functools import cached_property
from typing import Any

import pandas as pd

from plugins.base import BaseFeature, name_of
from plugins.base.streaming import StreamingFeature
from plugins.checks.bars import completed, usual
from plugins.checks.findings.compare import CLOSE
from plugins.checks.findings.outcome import Failed, Inapplicable
from plugins.fold import FoldFeature
from plugins.fold.windowed import streaming
from schemas.errors import PluginError

BUDGET = 0.5
"""Seconds that one check may spend on repetitions at further rows."""


class FeatureSubject:
    """What the checks of a feature share."""

    def __init__(self, cls: type[BaseFeature], params: dict[str, Any]) -> None:
        self.cls, self.params = cls, params
        self.frames = 0
        """Of the check `processors`; 0: as many as its time allows."""

    def new(self, **params: Any) -> BaseFeature:
        """A fresh instance."""
        return self.cls(**{**self.params, **params})

    @cached_property
    def plugin(self) -> BaseFeature:
        try:
            return self.new()
        except Exception as error:
            raise Failed(f"it cannot be created: {describe(error)}", "see the parameters that it declares") from error

    @property
    def fold(self) -> bool:
        return isinstance(self.plugin, FoldFeature)

    @property
    def tolerance(self) -> float:
        return 0.0 if self.fold else CLOSE

    @property
    def lookback(self) -> int | None:
        declared = self.plugin.lookback
        return declared if isinstance(declared, int) and declared > 0 else None

    def completed(self, data: pd.DataFrame) -> pd.DataFrame:
        """`data` with the columns of other features that it requires."""
        return completed(data, self.plugin.requires)

    def stream(self, plugin: BaseFeature | None = None) -> StreamingFeature:
        """The form that a worker runs."""
        plugin = plugin or self.new()
        if not isinstance(plugin, FoldFeature) and self.lookback is None:
            raise Inapplicable("without a lookback it cannot run bar by bar (see the check `lookback`)")
        try:
            return streaming(plugin)
        except PluginError as error:
            raise Failed(str(error), "a worker refuses it for the same reason") from error

    @cached_property
    def memory(self) -> int:
        """About how many bars a value needs, by what the plugin declares."""
        if isinstance(self.plugin, FoldFeature):
            try:
                return self.plugin.warmup + 1
            except PluginError as error:
                raise Failed(str(error), "declare `warmup`") from error
        return self.lookback or 40

    @cached_property
    def pace(self) -> float:
        """Seconds that one `compute` over few bars takes."""
        self.compute(usual(self.memory + 20))
        begin = time.perf_counter()
        self.compute(usual(self.memory + 20))
        return time.perf_counter() - begin

    @cached_property
    def bars(self) -> pd.DataFrame:
        """Usual bars: enough to see what a value depends on, few enough for a slow plugin."""
        return usual(self.memory + 20 if self.pace > 0.3 else max(400, 3 * self.memory + 50))

    @cached_property
    def baseline(self) -> pd.DataFrame:
        """The columns for `bars`."""
        return self.compute(self.bars)

    @cached_property
    def cost(self) -> float:
        """Seconds that one `compute` over `bars` takes."""
        begin = time.perf_counter()
        self.compute(self.bars)
        return time.perf_counter() - begin

    @property
    def frequent(self) -> int:
        """Bars of a frame that is computed many times: fewer for a slow plugin."""
        return len(self.bars) if self.cost < 0.05 else self.memory + 20

    def repeats(self, least: int, most: int) -> int:
        """How many times `compute` over `bars` may be repeated."""
        return max(least, min(most, int(BUDGET / max(self.cost, 1e-6))))

    def compute(self, data: pd.DataFrame, what: str = "usual bars", plugin: BaseFeature | None = None) -> pd.DataFrame:
        """The plugin's columns for a copy of `data`, which is named `what`; `Failed` when it raises or returns no
        frame with `data`'s index.
        """
        result = self.raw(data, what, plugin)
        if not result.index.equals(data.index):
            raise Failed(
                f"for {len(data)} rows ({what}) compute returned {len(result)} rows or another index",
                "return one row for each of data's, with data's index: fill a frame made with index=data.index",
            )
        return result

    def raw(self, data: pd.DataFrame, what: str = "usual bars", plugin: BaseFeature | None = None) -> pd.DataFrame:
        """The same, whatever the index."""
        try:
            result = (plugin or self.new()).compute(self.completed(data.copy()))
        except (Exception, SystemExit) as error:
            raise Failed(
                f"compute raised {describe(error)} on {what} ({len(data)} rows)",
                "return NaN where there is no value, for any number of rows from none on",
            ) from error
        if not isinstance(result, pd.DataFrame):
            raise Failed(
                f"compute returned a {type(result).__name__}", "return a DataFrame (a Series has .to_frame(name))"
            )
        return result

    def __str__(self) -> str:
        return name_of(self.cls)


def describe(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
