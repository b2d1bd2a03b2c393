"""Predictions of many symbols in, one signal a symbol out: the fold over the log of `predictions`. No clock, no Kafka.

What is decided together is what the first `Closing` of a time names. So whoever reads the same log makes the same
signals, whenever it came in and whoever proposed the closing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from plugins.pipeline.cross_sections.deciding import Decider, Deciders
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan, target_weights
from plugins.strategy.universe import LEFT
from schemas.canonical import signal_id
from schemas.wire import Signal, SignalContent
from schemas.wire.cross_sections import Closing, Generator, Prediction, Weighing

TIMES = 1_000
"""Closed times that are remembered: the largest `active_bars`."""
LATE = "late: the cross-section of this time was closed before it came"
NO_PREDICTION = "no prediction"


def signals_of(closing: Closing, predictions: Mapping[str, Prediction], decider: Decider) -> list[Signal]:
    """One signal for each member of the closing and each that left, sorted by symbol.

    A member without a prediction is not shown to the generator: HOLD, no weight. One that left is FLAT, weight 0.

    Parameters
    ----------
    predictions
        By symbol, of the time of the closing; symbols that it lacks get no signal.

    Raises
    ------
    PluginError
        The generator, a feature of the cross-section or the model fails.
    """
    predicted = decider.predicted([predictions[symbol] for symbol in closing.members if symbol in predictions])
    symbols = [member.symbol for member in predicted.members if member.prediction is not None]
    decided: dict[str, tuple[str | float, float | None, str]] = {}
    if symbols:
        decisions = decider.decide(closing.time, predicted)
        weighing = closing.execution
        targets = target_weights(decisions, decider.generator.scaled, weighing.weight, weighing.long_only)
        weights = map(none_if_nan, targets.tolist())
        decided = dict(zip(symbols, zip(decisions.signal, weights, decisions.reason, strict=True), strict=True))
    undecided = ("HOLD", None)
    signals = [
        _signal(member, *decided.get(member.symbol, (*undecided, member.reason or NO_PREDICTION)))
        for member in predicted.members
    ]
    signals += [_signal(predictions[symbol], "FLAT", 0.0, LEFT) for symbol in closing.left if symbol in predictions]
    return sorted(signals, key=lambda signal: signal.content.symbol)


def late_signal(prediction: Prediction) -> Signal:
    """The signal for a prediction that came after the closing of its time: HOLD without a weight, which keeps the
    position.
    """
    return _signal(prediction, "HOLD", None, LATE)


def _signal(of: Prediction, signal: Any, weight: float | None, reason: str) -> Signal:
    content = SignalContent(
        signal_id(of.strategy, of.symbol, of.time), of.strategy, of.symbol, of.time, signal, weight, reason,
        of.prediction, of.model, of.config_hash, of.gap, of.valid_until,
    )  # fmt: skip
    return Signal(content, of.provenance)


def closing_of(
    strategy: ReadyStrategy, time: int, members: Iterable[str], left: Iterable[str], expected: Iterable[str]
) -> Closing:
    """The closing that `strategy`, as it is configured here, proposes.

    Parameters
    ----------
    time
        Close of the bars, in ms since the epoch (UTC).
    members, left
        Symbols that are there: members of the universe then, and those that have left it.
    expected
        Symbols that should be there.
    """
    generator, execution, wanted = strategy.generator, strategy.execution, set(expected)
    present = sorted(members)
    return Closing(
        strategy.name, time, present, sorted(wanted - set(present)), len(wanted), sorted(left),
        Generator(generator.key, generator.version, generator.params),
        Weighing(execution.weight, execution.long_only), strategy.config_hash,
        predicts=True if strategy.section else UNSET,
    )  # fmt: skip


@dataclass
class SectionOutcome:
    """What comes of a record: signals, those for late predictions among them, and these predictions."""

    signals: list[Signal] = field(default_factory=list)
    late: list[Prediction] = field(default_factory=list)

    def add_late(self, prediction: Prediction) -> None:
        """A prediction that came too late, and its signal."""
        self.late.append(prediction)
        self.signals.append(late_signal(prediction))


class CrossSections:
    """The fold of one strategy over the log of its predictions and closings.

    `closed`: the last closed time (ms, -1: none yet); `last`: each symbol's newest time; `times`: the last closed ones;
    `pending`: what has come for times that are not closed.
    """

    def __init__(
        self,
        closed: int = -1,
        last: Mapping[str, int] | None = None,
        times: Iterable[int] = (),
        decider_of: Callable[[Closing], Decider] | None = None,
    ) -> None:
        self.closed = closed
        self.last = dict(last or {})
        self.times = deque(times, TIMES)
        self.pending: dict[int, dict[str, Prediction]] = {}
        self.repeats = 0
        self._decider_of = decider_of or Deciders()

    def collect_again(self, prediction: Prediction) -> None:
        """A prediction that this state, as it was restored, has seen before: it may be pending still."""
        if prediction.time > self.closed:
            self.pending.setdefault(prediction.time, {}).setdefault(prediction.symbol, prediction)

    def take(self, prediction: Prediction) -> SectionOutcome:
        """The next prediction. A symbol's go forward: what is not newer than its last one is a repeat."""
        symbol, time, outcome = prediction.symbol, prediction.time, SectionOutcome()
        if time <= self.last.get(symbol, -1):
            self.repeats += 1
            return outcome
        self.last[symbol] = time
        if time <= self.closed:
            outcome.add_late(prediction)
        else:
            self.pending.setdefault(time, {})[symbol] = prediction
        return outcome

    def decided(self, closing: Closing) -> list[Signal]:
        """What the members of a closing that is to come make of it, all of which have come."""
        present = self.pending.get(closing.time, {})
        return signals_of(closing, present, self._decider_of(closing)) if present else []

    def close(self, closing: Closing, published: bool = False) -> SectionOutcome:
        """The next closing: the signals of its time (none when these are `published` already), and late ones for what
        it, and earlier times, leave out.
        """
        outcome = SectionOutcome()
        if closing.time <= self.closed:
            return outcome
        self.closed = closing.time
        self.times.append(closing.time)
        outcome.signals = [] if published else self.decided(closing)
        decided, present = {*closing.members, *closing.left}, self.pending.pop(closing.time, {})
        for time in sorted(time for time in self.pending if time < closing.time):
            for _, prediction in sorted(self.pending.pop(time).items()):
                outcome.add_late(prediction)
        for symbol, prediction in sorted(present.items()):
            if symbol not in decided:
                outcome.add_late(prediction)
        return outcome
