"""Cross-sections as the log has them: predictions computed anew, in the order and by the closings of the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backtest.replay.file_cross_sections import FileSections
from plugins.pipeline.cross_sections.cross_section import CrossSections, late_signal
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import BadRecord
from schemas.wire import Signal
from schemas.wire.cross_sections import Closing, Prediction, PredictionRecord, decode_prediction_record
from streams.kafka.log import Log
from streams.publishing.writer import home

Key = tuple[str, int]
"""Symbol and time."""


@dataclass
class Gathered:
    """What the log of predictions comes to when each is replaced by the one computed anew.

    `signals`: each with the offset of the record that made it. `unknown`: predictions on the log that nothing computes
    (their own values are used); `repeated`: those that are there already; `absent`: computed ones that the log lacks;
    `open`: those on the log whose time is not closed yet.
    """

    signals: list[tuple[int, Signal]] = field(default_factory=list)
    pairs: list[tuple[Prediction, Prediction]] = field(default_factory=list)
    unknown: list[Prediction] = field(default_factory=list)
    repeated: list[Prediction] = field(default_factory=list)
    absent: list[Prediction] = field(default_factory=list)
    open: list[Prediction] = field(default_factory=list)
    closed: int = -1


async def logged(log: Log, strategy: str) -> list[tuple[int, PredictionRecord]]:
    """The strategy's records on `predictions`, each with its offset; foreign ones are left out."""
    number = home(strategy, await log.partition_count())
    records: list[tuple[int, PredictionRecord]] = []
    async for record in log.records("predictions", number, isolation="read_committed"):
        if record.key != strategy.encode():
            continue
        try:
            value = decode_prediction_record(record.value)
        except BadRecord:
            continue
        if value.strategy == strategy:
            records.append((record.offset, value))
    return records


def gathered(
    records: Iterable[tuple[int, PredictionRecord]], predictions: Iterable[Prediction], deciders: Deciders
) -> Gathered:
    """The signals of these records and predictions; `PluginError` when what a closing names is not among `deciders`."""
    computed: Mapping[Key, Prediction] = {
        (prediction.symbol, prediction.time): prediction for prediction in predictions
    }
    result, fold, seen = Gathered(), CrossSections(decider_of=deciders), set[Key]()
    for offset, record in records:
        if isinstance(record, Prediction):
            key = record.symbol, record.time
            prediction = computed.get(key)
            if key in seen:
                result.repeated.append(record)
            elif prediction is None:
                result.unknown.append(record)
            else:
                result.pairs.append((record, prediction))
            seen.add(key)
            outcome = fold.take(prediction or record)
        elif isinstance(record, Closing):
            outcome = fold.close(record)
        else:
            continue
        result.signals += [(offset, signal) for signal in outcome.signals]
    result.absent = [prediction for key, prediction in computed.items() if key not in seen]
    result.open = [prediction for _, by_symbol in sorted(fold.pending.items()) for prediction in by_symbol.values()]
    result.closed = fold.closed
    return result


def decided(
    ready: ReadyStrategy,
    records: Iterable[tuple[int, PredictionRecord]],
    predictions: Sequence[Prediction],
    past: Sequence[ReadyStrategy],
) -> list[Signal]:
    """The signals of all predictions: of times that are closed on the log as their closings say, of later ones as of a
    file. `past`: what was in force.
    """
    of_log = gathered(records, predictions, Deciders([ready, *past]))
    signals = [signal for _, signal in of_log.signals]
    seen = {signal.content.id for signal in signals}
    rest = [late_signal(prediction) for prediction in of_log.absent if prediction.time <= of_log.closed]
    sections = FileSections(ready, past=past)
    later = [prediction for prediction in predictions if prediction.time > of_log.closed]
    rest += sections.take(sorted(later, key=lambda prediction: (prediction.time, prediction.symbol)))
    rest += sections.end()
    return signals + [signal for signal in rest if signal.content.id not in seen]
