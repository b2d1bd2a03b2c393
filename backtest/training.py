"""Training a strategy's model on bars, through the very features that run live."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from plugins.artifacts import Manifest, TrainedOn, plugin_at_work, save_artifact
from plugins.bars import COLUMNS, times_of
from plugins.base import BaseModel
from plugins.checks.batches import prove_batch_invariant
from plugins.frames import feature_frame
from plugins.models import model_registry
from plugins.strategy import create
from schemas.config import Config, PluginUse, Strategy
from schemas.errors import ConfigurationError

MIN_ROWS = 50
"""Fewer rows to train on are taken for a mistake."""

Stage = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Scores:
    """How predictions compare with what happened; None where it is undefined (nothing varies).

    Attributes
    ----------
    r2
        1 - Σ(y - prediction)² / Σ(y - m)², m the mean of the **training's** targets: 0 is what a constant achieves that
        was known in time, 1 is perfect.
    ic
        Information coefficient: Spearman's rank correlation of prediction and target, all rows pooled.
    """

    rows: int
    first_time: int
    last_time: int
    r2: float | None
    ic: float | None


@dataclass(frozen=True)
class Training:
    """What a training came to. Times are of a bar's close, in ms since the epoch, UTC."""

    artifact: Path
    manifest: Manifest
    in_sample: Scores
    holdout: Scores | None
    dropped: dict[str, int]


@dataclass(frozen=True)
class Samples:
    """Rows of features and targets in time order, then by symbol; `known` is when a row's target is known (ms)."""

    X: pd.DataFrame
    y: "pd.Series[float]"
    known: "pd.Series[int]"
    dropped: dict[str, int]

    def where(self, mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> "Samples":
        return Samples(self.X[mask], self.y[mask], self.known[mask], self.dropped)


def train(
    strategy_name: str,
    config: Config,
    bars: pd.DataFrame,
    *,
    start: int | None = None,
    end: int | None = None,
    holdout: float | None = None,
    out: str | Path | None = None,
    stage: Stage = lambda text: None,
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
        into them are left out of the training (purged).
    out
        The artifact's folder; by default the configuration's ``model.artifact``.

    Raises
    ------
    ConfigurationError
        When there is nothing to train on, or nothing to learn.
    PluginError
        When the model fails, or declares `batch_invariant` and is not.
    """
    strategy = config.strategy(strategy_name)
    if strategy.model is None:
        raise ConfigurationError(
            f"strategies.{strategy_name}: it uses the column {strategy.prediction} as it is; there is nothing to train"
        )
    use = PluginUse(key=strategy.model.key, params=strategy.model.params)
    model: BaseModel = create(model_registry, use, f"strategies.{strategy_name}.model")
    stage("computing the features")
    chosen = _select(strategy_name, strategy, bars, end)
    samples = make_samples(strategy_name, strategy, chosen, start)
    kept, later = _split(samples, holdout)
    _check_learnable(strategy_name, strategy, kept)
    stage(f"training {use.key} on {len(kept.y):,} rows")
    with plugin_at_work(use.key, "train"):
        result = model.train(kept.X, kept.y)
    model = result if isinstance(result, BaseModel) else model
    with plugin_at_work(use.key, "predict"):
        prove_batch_invariant(model, kept.X.to_numpy(np.float64), list(kept.X.columns))
    stage("scoring")
    mean = float(kept.y.mean())
    scores = [_score(model, part, mean) for part in (kept, later) if part is not None]
    stage("writing the artifact")
    folder = Path(out) if out is not None else strategy.model.artifact
    used = chosen[chosen["open_time"].to_numpy() <= int(kept.known.max())]
    manifest = save_artifact(
        model,
        folder,
        columns=list(kept.X.columns),
        training=_trained_on(strategy, kept, used),
        rows=kept.X.to_numpy(np.float64),
    )
    dropped = samples.dropped | {"purged": len(samples.y) - sum(score.rows for score in scores)}
    return Training(folder, manifest, scores[0], scores[1] if later else None, dropped)


def make_samples(name: str, strategy: Strategy, bars: pd.DataFrame, start: int | None = None) -> Samples:
    """Features and targets of all bars that have both, in time order, then by symbol.

    A row is left out, and counted, while its symbol warms up, and where the target is not known yet.
    """
    features = feature_frame(name, strategy, bars)
    assert isinstance(features.index, pd.MultiIndex)
    target, known = forward_return(bars, features.index, strategy.training.horizon_bars)
    times = times_of(features.index)
    asked = np.ones(len(times), np.bool_) if start is None else times >= start
    warm = features.notna().any(axis=1).to_numpy()
    finite = np.isfinite(target.to_numpy())
    dropped = {"warming_up": int((asked & ~warm).sum()), "without_target": int((asked & warm & ~finite).sum())}
    rows = np.flatnonzero(asked & warm & finite)
    symbols = features.index.get_level_values(0).to_numpy()[rows].astype(str)
    rows = rows[np.lexsort((symbols, times[rows]))]
    return Samples(features.iloc[rows], target.iloc[rows], known.iloc[rows], dropped)


def forward_return(
    bars: pd.DataFrame, index: pd.MultiIndex, horizon_bars: int
) -> tuple["pd.Series[float]", "pd.Series[int]"]:
    """The return of a trade as it can be made, for each bar of `index` (symbol, time), and when it is known (ms).

    ``open[t + 1 + h] / open[t + 1] - 1``: decided at the close of bar t, entered at the same symbol's next open, left
    at the open h bars later. Bars are counted, not time: a gap in the data is one step. NaN for a symbol's last h + 1
    bars. It is known at the open of bar t + 1 + h.
    """
    first = bars.drop_duplicates(["symbol", "close_time"]).set_index(["symbol", "close_time"])[["open", "open_time"]]
    keys = pd.MultiIndex.from_arrays([index.get_level_values(0), times_of(index)])
    rows = first.reindex(keys).set_axis(index)
    opens, opened = rows.groupby(level=0, sort=False)["open"], rows.groupby(level=0, sort=False)["open_time"]
    target = opens.shift(-1 - horizon_bars) / opens.shift(-1) - 1.0
    return target.rename("forward_return"), opened.shift(-1 - horizon_bars, fill_value=-1).rename("known")


def data_sha256(bars: pd.DataFrame) -> str:
    """SHA-256 of the bars: for each symbol, in the order of names, its name, a zero byte, close times (int64, ms) and
    open, high, low, close, volume (float64), column after column, little-endian, in the bars' order.
    """
    digest = hashlib.sha256()
    for symbol, part in sorted(bars.groupby("symbol", sort=False), key=lambda pair: str(pair[0])):
        digest.update(str(symbol).encode() + b"\0")
        digest.update(part["close_time"].to_numpy(np.int64).astype("<i8").tobytes())
        for name in COLUMNS:
            digest.update(part[name].to_numpy(np.float64).astype("<f8").tobytes())
    return digest.hexdigest()


def _select(name: str, strategy: Strategy, bars: pd.DataFrame, end: int | None) -> pd.DataFrame:
    """The universe's bars that close before `end`."""
    mask = np.ones(len(bars), np.bool_)
    if strategy.universe != "*":
        mask &= bars["symbol"].isin(list(strategy.universe)).to_numpy()
        if len(bars) and not mask.any():
            raise ConfigurationError(
                f"strategies.{name}: none of its universe ({_few(strategy.universe)}) is in the bars, which are of "
                f"{_few(sorted(set(bars['symbol'])))}"
            )
    if end is not None:
        mask &= bars["close_time"].to_numpy() < end
    if not mask.any():
        raise ConfigurationError(f"strategies.{name}: there are no bars to train on; {_range(bars)}")
    return bars[mask].reset_index(drop=True)


def _split(samples: Samples, holdout: float | None) -> tuple[Samples, Samples | None]:
    """Rows to train on, and the latest `holdout` of them by time to score on."""
    if holdout is None:
        return samples, None
    if not 0.0 < holdout < 1.0:
        raise ConfigurationError(
            f"holdout {holdout} is not between 0 and 1; 0.2 keeps the last fifth out of the training"
        )
    times = times_of(samples.X.index)
    if not len(times):
        return samples, None
    first = times[min(len(times) - 1, math.ceil(len(times) * (1.0 - holdout)))]
    return samples.where(samples.known.to_numpy() < first), samples.where(times >= first)


def _check_learnable(name: str, strategy: Strategy, samples: Samples) -> None:
    if len(samples.y) < MIN_ROWS:
        warming_up, open_ended = samples.dropped["warming_up"], samples.dropped["without_target"]
        raise ConfigurationError(
            f"strategies.{name}: {len(samples.y)} rows to train on, at least {MIN_ROWS} are needed (besides, "
            f"{warming_up} bars warm the features up, and {open_ended} are too late to have a target); give more bars"
        )
    if samples.y.min() == samples.y.max():
        raise ConfigurationError(
            f"strategies.{name}: the {strategy.training.target} is {samples.y.iloc[0]:g} in all {len(samples.y)} "
            "rows: there is nothing to learn; give bars whose prices move"
        )


def _score(model: BaseModel, samples: Samples, mean: float) -> Scores:
    with plugin_at_work(model.key, "predict"):
        prediction = pd.Series(np.asarray(model.predict(samples.X), np.float64), samples.y.index)
    times = times_of(samples.X.index)
    some = prediction.notna()
    y, prediction = samples.y[some], prediction[some]
    spread = float(((y - mean) ** 2).sum())
    r2 = 1.0 - float(((y - prediction) ** 2).sum()) / spread if spread > 0 else None
    varies = len(y) > 1 and y.min() < y.max() and prediction.min() < prediction.max()
    ic = float(y.rank().corr(prediction.rank())) if varies else None
    return Scores(len(samples.y), int(times[0]), int(times[-1]), r2, ic)


def _trained_on(strategy: Strategy, samples: Samples, bars: pd.DataFrame) -> TrainedOn:
    times = times_of(samples.X.index)
    return TrainedOn(
        interval=strategy.interval,
        symbols=sorted({str(symbol) for symbol in samples.X.index.get_level_values(0)}),
        target=strategy.training.target,
        horizon_bars=strategy.training.horizon_bars,
        first_time=int(times[0]),
        last_time=int(times[-1]),
        rows=len(samples.y),
        data_sha256=data_sha256(bars),
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _range(bars: pd.DataFrame) -> str:
    if not len(bars):
        return "none were given"
    first, last = (
        pd.Timestamp(int(t), unit="ms", tz="UTC").isoformat() for t in bars["close_time"].agg(["min", "max"])
    )
    return f"those given close from {first} to {last}"
