"""A model trained on samples, and its predictions for samples."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backtest.training.samples import Mask, Samples, check_learnable, few, unlearnable
from backtest.training.splits import hold_out
from plugins.base import BaseModel
from plugins.base.loading.listing import how_to_install
from plugins.checks.models.batches import prove_batch_invariant
from plugins.fold.sequence import SequenceModel
from plugins.models import model_registry
from plugins.models.artifacts.loading import plugin_errors
from plugins.models.artifacts.manifest import EVERY_SYMBOL
from plugins.models.artifacts.per_symbol import PerSymbolModel, each_model
from plugins.models.artifacts.selftest import OrderedRows
from plugins.strategy.parts import create
from schemas.configuration import PluginUse, Strategy
from schemas.errors import ConfigurationError

FloatArray = NDArray[np.float64]

Rounds = Callable[[int, int], None]
"""Told how many rounds of a training are done, and how many there are."""
VALIDATION = 0.2
"""The part of the training rows, the latest, by which a model that can stop early does."""


def new_model(name: str, strategy: Strategy) -> BaseModel:
    """The strategy's model, not trained yet; `ConfigurationError` when it has none, it cannot be created, or what it
    needs is not installed.
    """
    if strategy.model is None:
        raise ConfigurationError(
            f"strategies.{name}: it uses the column {strategy.prediction} as it is; there is nothing to train"
        )
    use = PluginUse(key=strategy.model.key, params=strategy.model.params)
    place = f"strategies.{name}.model"
    model: BaseModel = create(model_registry, use, place)
    if install := how_to_install(type(model)):
        raise ConfigurationError(f"{place}: what {use.key} needs is not installed: {install}")
    return model


def fit(
    name: str, strategy: Strategy, samples: Samples, whole: Samples | None = None, progress: Rounds | None = None
) -> BaseModel:
    """The strategy's model trained on `samples`; for `per_symbol` a `PerSymbolModel` of those symbols that have
    something to learn from. `whole`: what `samples` are a part of with holes in time; a sequence model sees the rows
    there, and does not learn their targets. `progress` is what a model that learns in rounds tells.

    Raises `ConfigurationError` when there is nothing to learn, `PluginError` when the model fails, or declares
    `batch_invariant` and is not.
    """
    if not strategy.training.per_symbol:
        check_learnable(name, strategy, samples)
        return _fit(new_model(name, strategy), strategy, samples, whole, progress)
    models: dict[str, BaseModel] = {}
    faults: list[str] = []
    for symbol in samples.names:
        own = samples.of(symbol)
        if fault := unlearnable(strategy, own):
            faults.append(f"{symbol}: {fault}")
        else:
            others = whole.of(symbol) if whole is not None else None
            models[symbol] = _fit(new_model(name, strategy), strategy, own, others, progress)
    if not models:
        check_learnable(name, strategy, samples)
        raise ConfigurationError(f"strategies.{name}: there is nothing to learn for any symbol ({few(faults)})")
    return PerSymbolModel(models)


def predictions_of(model: BaseModel, samples: Samples, wanted: Mask | None = None) -> FloatArray:
    """One prediction for each row, or each of those `wanted`; NaN where there is none. A sequence model predicts from
    the rows before them, too.
    """
    if wanted is not None and model.lookback == 1:
        samples, wanted = samples.where(wanted), None
    with plugin_errors(model.key, "predict"):
        predictions = np.asarray(model.predict(samples.X), np.float64)
    return predictions if wanted is None else predictions[wanted]


def training_rows(model: BaseModel, samples: Samples) -> dict[str, OrderedRows]:
    """The rows that each model in `model` was trained on, by symbol, then by time."""
    rows, places = samples.X.to_numpy(np.float64), samples.places
    order = np.concatenate([places[symbol] for symbol in sorted(places)])
    return {
        symbol: OrderedRows(rows, order if symbol == EVERY_SYMBOL else places[symbol])
        for symbol, _ in each_model(model)
    }


def _fit(
    model: BaseModel, strategy: Strategy, samples: Samples, whole: Samples | None, progress: Rounds | None
) -> BaseModel:
    model.progress = progress
    with plugin_errors(model.key, "train"):
        if whole is not None and isinstance(model, SequenceModel):
            result: BaseModel | None = model.train(whole.X, whole.y.where(whole.X.index.isin(samples.X.index)))
        else:
            result = _train(model, strategy, samples)
    model.progress = None
    model = result if isinstance(result, BaseModel) else model
    with plugin_errors(model.key, "predict"):
        prove_batch_invariant(model, samples.X.to_numpy(np.float64), list(samples.X.columns))
    return model


def _train(model: BaseModel, strategy: Strategy, samples: Samples) -> BaseModel | None:
    """Stops early, where the model can and is asked to, by the latest rows, purged of what reaches into them."""
    if not model.params.get("early_stopping_rounds"):
        return model.train(samples.X, samples.y)
    if type(model).train_with_validation is BaseModel.train_with_validation:
        raise ConfigurationError(
            f"{model.key} cannot stop early (it defines no train_with_validation); leave out early_stopping_rounds"
        )
    split = hold_out(samples, VALIDATION, strategy.training.embargo_bars)
    learned, checked = samples.where(split.train), samples.where(split.test)
    if fault := unlearnable(strategy, learned):
        raise ConfigurationError(f"early stopping keeps the latest {VALIDATION:.0%} of the rows apart: {fault}")
    return model.train_with_validation(learned.X, learned.y, checked.X, checked.y)
