"""Training a strategy's model on bars, through the very features that run live."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from backtest.sources.news import NewsOf
from backtest.training.fitting import fit, new_model, predictions_of, training_rows
from backtest.training.outcome.importance import gain_of, permuted
from backtest.training.samples import Samples, check_learnable, data_sha256, make_samples, select
from backtest.training.scores import Scores, out_of_sample, scores_of
from backtest.training.splits import hold_out
from plugins.base import BaseModel
from plugins.models.artifacts.loading import Manifest, TrainedOn, save_artifact
from plugins.models.artifacts.manifest import Barriers, Importance, OutOfSample
from plugins.models.artifacts.per_symbol import PerSymbolModel
from plugins.strategy.features import features_of
from plugins.strategy.parts import inputs_of
from schemas.configuration import Config, Strategy


class Stage(Protocol):
    """Told what is being done, and of what comes in rounds, how many of how many are done."""

    def __call__(self, text: str, done: int | None = None, total: int | None = None, /) -> None: ...


def _untold(text: str, done: int | None = None, total: int | None = None, /) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Training:
    """What a training came to. Times are of a bar's close, in ms since the epoch, UTC."""

    artifact: Path
    manifest: Manifest
    in_sample: Scores
    holdout: Scores | None
    dropped: dict[str, int]
    without_model: list[str]
    """Symbols that have rows, but too few for a model of their own."""


def train(
    strategy_name: str,
    config: Config,
    bars: pd.DataFrame,
    *,
    start: int | None = None,
    end: int | None = None,
    holdout: float | None = None,
    out: str | Path | None = None,
    stage: Stage = _untold,
    news: NewsOf | None = None,
) -> Training:
    """Trains the strategy's model and writes its artifact.

    Equal bars and configuration give an equal artifact, to the byte.

    Parameters
    ----------
    bars
        symbol, open_time, close_time (ms), open, high, low, close, volume, each symbol's in order of time.
    start, end
        Rows whose bar closes in [start, end), ms. Bars before `start` warm the features up, as live; of bars at or
        after `end` nothing is used, for targets neither.
    holdout
        Fraction of the rows, the latest, that the model is **not** trained on but scored on. Rows whose target reaches
        into them are left out of the training (purged), and ``training.embargo_bars`` more.
    out
        The artifact's folder; by default the configuration's ``model.artifact``.
    news
        Of the bars; None: what uses news is unknown.

    Raises
    ------
    ConfigurationError
        When there is nothing to train on, or nothing to learn.
    PluginError
        When the model fails, or declares `batch_invariant` and is not.
    """
    strategy = config.strategy(strategy_name)
    new_model(strategy_name, strategy)  # a mistake there is reported before the features are computed
    assert strategy.model is not None
    chosen = select(strategy_name, strategy, bars, end)
    computing = f"computing the features of {len(chosen):,} bars"
    stage(computing)
    samples = make_samples(
        strategy_name, strategy, chosen, start, news, progress=lambda done, total: stage(computing, done, total)
    )
    kept, later, purged = _split(samples, strategy, holdout)
    check_learnable(strategy_name, strategy, kept)
    columns = kept.known_columns
    left_out = [str(name) for name in samples.X.columns if name not in columns]
    samples, kept, later = samples.only(columns), kept.only(columns), later.only(columns) if later else None
    model = _fitted(strategy_name, strategy, kept, stage)
    stage("scoring")
    in_sample, held_out, tested, lost = _scored(model, strategy, samples, kept, later)
    weights = Importance(gain=gain_of(model, columns) or None, permutation=lost or None)
    stage("writing the artifact")
    folder = Path(out) if out is not None else strategy.model.artifact
    used = data_sha256(chosen, int(kept.known.max()))  # by the rows' features or targets
    manifest = save_artifact(
        model, folder, columns=columns, training=_trained_on(strategy_name, strategy, kept, used),
        rows=training_rows(model, kept), out_of_sample=tested, left_out=left_out,
        importance=weights if weights.gain or weights.permutation else None,
    )  # fmt: skip
    dropped = samples.dropped | {"purged": purged}
    return Training(folder, manifest, in_sample, held_out, dropped, _without_model(model, strategy, samples, kept))


def _fitted(name: str, strategy: Strategy, kept: Samples, stage: Stage) -> BaseModel:
    assert strategy.model is not None
    doing = f"training {strategy.model.key} on {len(kept.y):,} rows"
    stage(doing)
    return fit(name, strategy, kept, progress=lambda done, total: stage(doing, done, total))


def _without_model(model: BaseModel, strategy: Strategy, samples: Samples, kept: Samples) -> list[str]:
    """Symbols that have rows, and no model of their own where each is to have one."""
    if not strategy.training.per_symbol:
        return []
    modelled = model.models if isinstance(model, PerSymbolModel) else set(kept.names)
    return sorted(set(samples.names) - set(modelled))


def _split(samples: Samples, strategy: Strategy, holdout: float | None) -> tuple[Samples, Samples | None, int]:
    """Rows to train on, the latest `holdout` of them by time to score on, and how many are between."""
    if holdout is None:
        return samples, None, 0
    split = hold_out(samples, holdout, strategy.training.embargo_bars)
    return samples.where(split.train), samples.where(split.test) if split.test.any() else None, split.purged


def _scored(
    model: BaseModel, strategy: Strategy, samples: Samples, kept: Samples, later: Samples | None
) -> tuple[Scores, Scores | None, OutOfSample | None, dict[str, float]]:
    """Scores in sample and held out, and what columns weigh there. A sequence model sees the rows before the holdout,
    as live.
    """
    mean = float(kept.y.mean())
    in_sample = scores_of(kept, predictions_of(model, kept), mean)
    if later is None:
        return in_sample, None, None, {}
    test = samples.times >= later.times[0]
    prediction = predictions_of(model, samples, test)
    tested = out_of_sample(later, prediction, mean, strategy.training.horizon_bars)
    lost = permuted(model, samples, test, prediction, mean)
    return in_sample, scores_of(later, prediction, mean), tested, lost


def _trained_on(name: str, strategy: Strategy, samples: Samples, data: str) -> TrainedOn:
    inputs = inputs_of(strategy, features_of(name, strategy))
    times, training = samples.times, strategy.training
    barriers = Barriers(
        profit_taking=training.profit_taking, stop_loss=training.stop_loss, volatility_bars=training.volatility_bars
    )
    return TrainedOn(
        interval=strategy.interval,
        features=list(inputs.features),
        news=dict(inputs.news) if inputs.news is not None else None,
        symbols=samples.names,
        target=training.target,
        horizon_bars=training.horizon_bars,
        barriers=barriers if training.target == "triple_barrier" else None,
        first_time=int(times[0]),
        last_time=int(times[-1]),
        rows=len(samples.y),
        data_sha256=data,
    )
