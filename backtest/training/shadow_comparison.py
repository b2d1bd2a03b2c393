"""A strategy's model beside its shadow: what both said on `predictions.shadow`, and what came of it.

==========================  ==========================================================================================
correlation                 Pearson's, of the two predictions
mean_absolute_difference    of the two, in the target's unit
other_prediction_sign       share of the bars where one predicts above 0 and the other below, or one of them 0
other_signal_sign           share of the bars where the generator would decide to another side (BUY or above 0, SELL or
                            below 0, neither); None where a decision depends on more than the bar's prediction
ic_model, ic_shadow         information coefficients (`backtest.training.scores`) against the strategy's target, on the
                            bars whose target is known by now
ic_lead                     ic_shadow - ic_model, with the interval of that difference on equal rows
==========================  ==========================================================================================

All of the bars where both have a prediction. Intervals are those of `backtest.training.bootstrap`.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest.sources.bars import Progress, log_gaps, topic_bars
from backtest.sources.log import require_log
from backtest.training.bootstrap import estimates
from backtest.training.scores import Comparison
from backtest.training.targets import targets_of
from plugins.base import BaseSignalGenerator
from plugins.models.artifacts.manifest import Estimate
from plugins.signals import signal_registry
from plugins.strategy.parts import create
from schemas.configuration import Config, Strategy
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Model, ShadowPrediction, decode
from streams.ingest.bar_files import during
from streams.kafka.log import Log
from streams.kafka.topics import topic_name

FloatArray = NDArray[np.float64]
_decoder = msgspec.json.Decoder(ShadowPrediction)
UNDEFINED = Estimate(value=None, low=None, high=None)


@dataclass
class ShadowComparison:
    """One model beside one shadow; the module's table tells the figures, None where one is undefined. Times in ms.

    `bars`: what there is on the topic; `both` of them have both predictions, `failed` an error of the shadow's, and of
    `known` of the former the target is known.
    """

    model: str | None
    shadow: str
    shadow_key: str
    bars: int
    both: int
    failed: int
    first_time: int
    last_time: int
    correlation: float | None = None
    mean_absolute_difference: float | None = None
    other_prediction_sign: float | None = None
    other_signal_sign: float | None = None
    known: int = 0
    ic_model: Estimate = UNDEFINED
    ic_shadow: Estimate = UNDEFINED
    ic_lead: Estimate = UNDEFINED

    def plain(self) -> dict[str, Any]:
        """What is written as JSON."""
        return asdict(self) | {name: getattr(self, name).model_dump() for name in ("ic_model", "ic_shadow", "ic_lead")}


@dataclass
class ShadowReport:
    """A pair of models after the other, in the order of their first bars; `foreign`: records that cannot be read.

    `gaps`: in words, which offsets of the bars the log lacks.
    """

    strategy: str
    target: str
    pairs: list[ShadowComparison] = field(default_factory=list)
    foreign: int = 0
    gaps: list[str] = field(default_factory=list)


def compare_shadow(
    config: Config,
    name: str,
    start: int | None = None,
    end: int | None = None,
    progress: Progress | None = None,
    source: str = "kafka",
) -> ShadowReport:
    """How the strategy's shadows did, for bars that close in [start, end) (ms); `source` is ``kafka`` or the folder of
    an archive.

    Raises `ConfigurationError` where the topic holds nothing of the strategy.
    """
    log, strategy = require_log(config, source), config.strategy(name)
    training = strategy.training
    report = ShadowReport(name, f"{training.target} over {training.horizon_bars} bars")
    predictions = asyncio.run(_read_predictions(log, name, report))
    inside = during([one.time for one in predictions], start, end)
    predictions = [one for one, keep in zip(predictions, inside.tolist(), strict=True) if keep]
    if not predictions:
        topic = topic_name(log, "predictions.shadow")
        raise ConfigurationError(
            f"{topic} holds nothing of {name} for these times; name a `shadow:` beside its `model:`, and run the worker"
        )
    bars = topic_bars(log, strategy.interval, progress)
    report.gaps = log_gaps(bars)
    pairs: dict[tuple[str | None, str], list[ShadowPrediction]] = {}
    for one in sorted(predictions, key=lambda one: (one.time, one.symbol)):
        pairs.setdefault((one.model.sha256 if one.model else None, one.shadow_model.sha256), []).append(one)
    report.pairs = [_compare(pair, strategy, name, bars) for pair in pairs.values()]
    return report


async def _read_predictions(log: Log, name: str, report: ShadowReport) -> list[ShadowPrediction]:
    """All of the strategy on the topic, equal repeats once."""
    distinct: dict[bytes | None, ShadowPrediction] = {}
    for partition in range(await log.partition_count("predictions.shadow")):
        async for record in log.records("predictions.shadow", partition, isolation="read_committed"):
            try:
                one = decode(_decoder, record.value)
            except BadRecord:
                report.foreign += 1
                continue
            if one.strategy == name:
                distinct.setdefault(record.value, one)
    return list(distinct.values())


def _compare(
    predictions: list[ShadowPrediction], strategy: Strategy, name: str, bars: pd.DataFrame
) -> ShadowComparison:
    index = pd.MultiIndex.from_arrays(
        [[one.symbol for one in predictions], pd.to_datetime([one.time for one in predictions], unit="ms", utc=True)],
        names=["symbol", "time"],
    )
    model, shadow = (
        _column(values) for values in ((s.prediction for s in predictions), (s.shadow for s in predictions))
    )
    both = np.isfinite(model) & np.isfinite(shadow)
    first: Model | None = predictions[0].model
    shadow_model = predictions[0].shadow_model
    comparison = ShadowComparison(
        first.sha256 if first else None, shadow_model.sha256, shadow_model.key, len(predictions),
        int(both.sum()), sum(one.fault is not None for one in predictions), predictions[0].time, predictions[-1].time,
    )  # fmt: skip
    if not both.any():
        return comparison
    index, model, shadow = index[both], model[both], shadow[both]
    comparison.correlation = _correlation(model, shadow)
    comparison.mean_absolute_difference = float(np.abs(model - shadow).mean())
    comparison.other_prediction_sign = float((np.sign(model) != np.sign(shadow)).mean())
    comparison.other_signal_sign = _other_side(strategy, name, model, shadow)
    (target, _), _ = targets_of(bars, index, strategy)
    y = np.asarray(target, np.float64)
    known = np.isfinite(y)
    comparison.known = int(known.sum())
    if comparison.known:
        times = np.array([one.time for one in predictions])[both][known]
        rivals = [Comparison(y[known], values[known], 0.0) for values in (model, shadow)]

        def score(weights: FloatArray) -> FloatArray:
            ours, theirs = (rival(weights)[0] for rival in rivals)
            return np.array([ours, theirs, theirs - ours])

        comparison.ic_model, comparison.ic_shadow, comparison.ic_lead = estimates(
            times, strategy.training.horizon_bars, score
        )
    return comparison


def _column(values: Iterable[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _correlation(model: FloatArray, shadow: FloatArray) -> float | None:
    if model.min() == model.max() or shadow.min() == shadow.max():
        return None
    return float(np.corrcoef(model, shadow)[0, 1])


def _other_side(strategy: Strategy, name: str, model: FloatArray, shadow: FloatArray) -> float | None:
    generator: BaseSignalGenerator = create(signal_registry, strategy.signal, f"strategies.{name}.signal")
    if generator.fold is not None:
        return None
    try:
        sides = [_sides(generator.decide({"prediction": values}).signal) for values in (model, shadow)]
    except Exception:  # it needs other columns: what it would have decided cannot be known from here
        return None
    return float((sides[0] != sides[1]).mean())


def _sides(signals: list[str | float]) -> FloatArray:
    named = {"BUY": 1.0, "SELL": -1.0}
    return np.sign([named.get(signal, 0.0) if isinstance(signal, str) else signal for signal in signals])
