"""A model trained again and again as time goes on: what a sweep trades where it changes what a model learns from.

The traded bar times are cut into blocks. At the begin of each the model is trained on every row whose target is known
before it, and predicts until the next one: no prediction is in sample.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from backtest.sources.news import NewsOf
from backtest.training.fitting import fit, new_model
from backtest.training.samples import Samples, check_learnable, make_samples, select
from backtest.training.splits import known_before
from plugins.base import BaseModel, FloatArray
from plugins.models.artifacts.chosen_columns import ChosenColumns
from plugins.models.artifacts.manifest import EVERY_SYMBOL
from plugins.models.artifacts.per_symbol import PerSymbolModel, each_model
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.canonical import canonical_json, sha256_hex
from schemas.configuration import Config, Strategy
from schemas.errors import ConfigurationError
from schemas.wire import Model


class Untrained(BaseModel):
    """Stands for `model` before its first training: it has no prediction."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.params, self.lookback, self._source = model.params, model.lookback, model.source_sha256
        self.key, self.version = model.key, model.version  # type: ignore[misc]

    @property
    def source_sha256(self) -> str | None:
        return self._source

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":  # noqa: N803
        return pd.Series(np.nan, X.index)

    def predict_windows(self, windows: FloatArray, columns: list[str]) -> FloatArray:
        return np.full(len(windows), np.nan)


def retraining_of(
    config: Config, name: str, bars: pd.DataFrame, start: int | None, blocks: int, news: NewsOf | None = None
) -> "Retraining":
    """Of a strategy, over the bars of its universe; without `start` the second half of their times is traded."""
    chosen = select(name, config.strategy(name), bars, None)
    times = np.unique(chosen["close_time"].to_numpy(np.int64))
    return Retraining(chosen, int(times[len(times) // 2]) if start is None else start, blocks, news)


@dataclass
class Retraining:
    """Trains strategies at the begin of each of `blocks` blocks of the bar times from `start` on (ms)."""

    bars: pd.DataFrame
    start: int
    blocks: int
    news: NewsOf | None = None
    _features: bytes = field(default=b"", init=False)
    _samples: dict[bytes, Samples] = field(default_factory=dict, init=False)
    _models: dict[bytes, list[BaseModel]] = field(default_factory=dict, init=False)

    @property
    def description(self) -> str:
        """What was done, in a line."""
        begins = [pd.Timestamp(begin, unit="ms").strftime("%Y-%m-%dT%H:%MZ") for begin in self.begins]
        return f"each point's model was trained {self.blocks} times, and traded from then on: {', '.join(begins)}"

    @property
    def identity(self) -> list[int]:
        """What of it the result depends on, beside the bars and the strategy."""
        return [self.start, self.blocks]

    @property
    def begins(self) -> list[int]:
        """The first bar time (close, ms) of each block."""
        times = np.unique(self.bars["close_time"].to_numpy(np.int64))
        traded = times[times >= self.start]
        if len(traded) < self.blocks:
            raise ConfigurationError(f"{len(traded)} bar times cannot be cut into {self.blocks} blocks to train for")
        return [int(block[0]) for block in np.array_split(traded, self.blocks)]

    def planned(self, name: str, strategy: Strategy) -> ReadyStrategy:
        """The strategy before its first training."""
        model = new_model(name, strategy)
        stands_for = Model(model.key, sha256_hex(canonical_json(["retrained", *self.identity])))
        return ready_strategy(name, strategy, model=(Untrained(model), stands_for))

    def schedule(self, strategy: Strategy, planned: ReadyStrategy) -> list[tuple[int, ReadyStrategy]]:
        """From which bar time (ms) on the strategy has which model. Strategies that differ in what comes after the
        model share their models, if they come one after the other.
        """
        if planned.feature_identity != self._features:
            self._features, self._samples, self._models = planned.feature_identity, {}, {}
        assert strategy.model is not None
        learned = canonical_json([strategy.model.key, strategy.model.params, strategy.training.model_dump(mode="json")])
        if learned not in self._models:
            self._models[learned] = self._trained(planned.name, strategy)
        return [
            (begin, replace(planned, model=model))
            for begin, model in zip(self.begins, self._models[learned], strict=True)
        ]

    def _trained(self, name: str, strategy: Strategy) -> list[BaseModel]:
        """The model of each block."""
        identity = canonical_json(strategy.training.model_dump(mode="json"))
        if identity not in self._samples:
            self._samples[identity] = make_samples(name, strategy, self.bars, news=self.news)
        samples = self._samples[identity]
        known = [known_before(samples, begin, strategy.training.embargo_bars) for begin in self.begins]
        return [_fitted(name, strategy, samples.where(rows)) for rows in known]


def _fitted(name: str, strategy: Strategy, samples: Samples) -> BaseModel:
    """As an artifact of that training predicts."""
    check_learnable(name, strategy, samples)
    columns = samples.known_columns
    model = fit(name, strategy, samples.only(columns))
    models = {symbol: ChosenColumns(own, columns) for symbol, own in each_model(model)}
    return PerSymbolModel(models) if isinstance(model, PerSymbolModel) else models[EVERY_SYMBOL]
